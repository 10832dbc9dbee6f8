"""Accounts: created, changed, moved, frozen, closed.

accounts    create, new policy or profile, close, abandon a request
moving      to another parent of the family
standing    freeze, unfreeze, reopen
closing     at zero, or with what is left written off
"""
