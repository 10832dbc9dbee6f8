"""Limits in windows (rules H4, H5).

budgets, budget_faults, budgeting   as state, what is valid, set and asked
budget_values           limits for each value of an attribute: who has which counter
budget_counts, tallies, lanes    what they count: behind an entry, behind a run, side by side
counted_before          where and how much counted of what is given back
operations, operation_budgets   of one action with all its calls: as state, set and ended
operation_terms         what an account or its package gives each operation
operation_cover, operation_policies   which cover a call, and what it makes known; one for each
"""
