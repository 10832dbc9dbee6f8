"""Drawdown's ledger. Read the packages in this order:

    core            pure: decide and evolve, double-entry books, the waterfall, holds, identity
    engine          one writer a shard: queue, group commit, replies when durable, recovery
    journal         the hash-chained log, the account directory and the configuration stream
    projections     SQL read models that anyone can rebuild from the journal
    sizing          what holds are sized by: quantiles learned from usage
    statements      what accounts used in a period: figures that add up to the journal
    integrity       seals, Merkle trees and proofs: that the journal is what it was
    verify          re-derive everything and compare
    backtest        a range of the journal decided again under other prices
    auth            who calls, and what they may do: tokens, keys, certificates, scopes
    api             gRPC services: proto -> command -> engine -> proto
    forecast        how long balances last, from recorded usage (pure)
    gateway         what gateways speak: Envoy's two services, forward-auth, CloudEvents
    client          the SDK: a sans-I/O core under an async shell
    telemetry       traces and metrics, per batch
    cli, demo       the command `drawdown`, the load generator, the demo

`ledger.v1` holds the generated messages. Pricing is the package `rating`, which knows nothing of
this one. Keep this module free of imports: every generated module runs it.
"""
