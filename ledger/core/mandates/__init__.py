"""Agents' mandates (rule H4).

mandates, mandating     as state; granted, delegated, revoked and asked
buying                  a top-up within them, which waits for its payment
"""
