"""Re-derive everything from the journal and compare. Read in this order:

    report          findings, and what was looked at
    marks           from where a later run may go on
    reflections     what else claims to be the state at some batch (hook: read models, checkpoints)
    stated          what a state says that its read models hold
    read_models     the read models as such a claim
    checkpoints     the stored checkpoint as such a claim
    packages        published packages, by which rules of them go
    rules           what every entry must satisfy
    transfers       where the rest of a segment is that was ended by transfer
    reversals       what was given back had been drawn
    hours           what usage drew by the hour
    holds           no hold leaks
    operations      names of operations lead to the budgets that cover them
    clocks          each entry is of its own tenant's time
    seals           signatures and Merkle roots over the rows
    statements      closed statements, worked out anew
    shard           one shard: chain, decode, replay, rules, then the claims
    run             all shards: `verify`, or `verify_from` a mark

Nothing is repaired and nothing is written.
"""

from __future__ import annotations

from ledger.verify.report import Finding, Report, ShardReport
from ledger.verify.run import Verified, verify, verify_from

__all__ = ["Finding", "Report", "ShardReport", "Verified", "verify", "verify_from"]
