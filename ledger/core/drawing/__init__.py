"""Who pays for an amount, and to whom it goes back.

comparators     which grant pays first
drawdown        the waterfall: which pots pay
conversion      what the settlement currency pays, and is given back
paying          one path from a price to slices and what follows them
unwinding       to whom units go back, the last drawn first
"""
