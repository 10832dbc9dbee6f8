"""The generated wire format of the ledger; see protos/ledger/v1. Import-free: every module runs it.

Only `ledger.api` and `ledger.client` may import from here.
"""
