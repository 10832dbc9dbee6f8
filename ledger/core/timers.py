"""What may fall due, by kind: of one instant, the lesser comes first."""

from __future__ import annotations

TIMER_RERATE = -2  # of an account: what others have made its usage cost, before all else


TIMER_GAUGE = -1  # of an account: before minimums, which count it, and before grants are forfeited


TIMER_FAMILY = 0  # of a family that was paged out: before what it brings back at that instant


TIMER_HOLD = 1


TIMER_MINIMUMS = 2  # of an account: before what is left of grants at that instant is forfeited


TIMER_GRANT = 3


TIMER_RECURRING = 4


TIMER_COMMITMENT = 5


TIMER_TOP_UP = 6


TIMER_SUSPENSE = 7  # of a family: what waits for a price is tried


TIMER_QUOTE = 8


TIMER_CONTRACT = 11  # of an account: before the period that its package begins then


TIMER_PACKAGE = 12  # of an account: the next period of its subscription


TIMER_SEATS = 13  # of an account: the next period of a plan of seats


TIMER_CHARGE = 14  # after whatever is granted at that instant, which may pay it


TIMER_STATEMENT = 20  # of an account: after all that is to be in it at that instant


FETCHED = 0
"""Stands for the timer of a paged family that is being fetched, for something of it is due."""
