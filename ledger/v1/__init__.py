"""The generated wire format of the ledger; see protos/ledger/v1. Import-free: every module runs it.

Only the edge may import from here: `ledger.api`, `ledger.gateway` and `ledger.client`.
"""
