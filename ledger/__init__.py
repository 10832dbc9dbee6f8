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
    reasons         every reason that a refusal has: how it leaves, what to do about it
    api             gRPC services: proto -> command -> engine -> proto
    forecast        how long balances last, from recorded usage (pure)
    exports         the books in other people's tools
    gateway         what gateways speak: Envoy's two services, forward-auth, CloudEvents
    client          the SDK: a sans-I/O core under an async shell
    telemetry       traces and metrics, per batch
    settings, server, loopback        one server process, put together
    side_process, niceness            what runs beside it and stands back for it: projector_process,
                    sealer_process, card_process, decision_process
    cli, demo       the command `drawdown`, the load generator, the demo
    simulation      all of it on virtual time, with faults; failpoints: where tests end a process

`ledger.v1` holds the generated messages. Pricing is the package `rating`, which knows nothing of
this one. Keep this module free of imports: every generated module runs it.
"""
