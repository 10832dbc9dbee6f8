"""The generated wire format of pricing; see protos/rating/v1. Import-free: every module runs it.

The pure modules of `rating` never import from here; only `ledger.api` and `ledger.client` do.
"""
