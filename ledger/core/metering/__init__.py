"""Recorded usage, and what becomes of it.

usage, linked           one event, decided plainly; events recorded together or not at all
usual                   most usage, decided and applied many at a time: the hot path
waiting, suspense       what waits for a price, and is rated once it has one
levels, gauges, gauging     what meters count over what counts already; latest values of a scope
outcome_charges         work that is charged once its result is confirmed
given_back, corrections what is left of recorded usage; given back, in whole or in part
"""
