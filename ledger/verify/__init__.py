"""Re-derive everything from the journal and compare. Read in this order:

    report          findings, and what was looked at
    reflections     what else claims to be the state at some batch (hook: read models, checkpoints)
    read_models     the read models as such a claim
    shard           one shard: chain, decode, replay, balance, then the claims
    run             all shards: `verify`

Nothing is repaired and nothing is written.
"""

from __future__ import annotations

from ledger.verify.report import Finding, Report, ShardReport
from ledger.verify.run import verify

__all__ = ["Finding", "Report", "ShardReport", "verify"]
