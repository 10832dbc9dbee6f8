"""SQL read models, in a process of their own. Read in this order:

    changes         what one transaction writes: rows, new books, moved counters
    facts           what the fold has to know from earlier entries
    described       plans, policies and erasable names as columns
    fold            events -> changes (pure)
    snapshots, lifetimes    what answers of the past, and limits of the past, rest on
    tables          what a store of read models has to promise
    rows            changes as rows and columns of tables
    store           PostgreSQL: the lock, the facts, COPY and checkpoint in one transaction
    shard           one shard step by step, exactly once, over journal and tables
    projector       the same on PostgreSQL; all shards of a process
    rebuild         a shadow schema, then a swap
    scrub           what an erasure does here
    lag, earnings, charged, burn, fees    what others ask
    as_of, past, rolled_up           the same of an instant, as known at another

Nothing here is truth: every table can be dropped and built again from the journal. The engine
never waits for it and never reads it.
"""
