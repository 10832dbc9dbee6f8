"""The engine: one writer a shard makes the core's decisions durable. Read in this order:

    clock           time as it is handed in, and the time that a writer may record
    ticket          commands on their way through, and what comes back
    recent          the last batches in memory, and how a recorded outcome is found again
    configuration   published assets and rate cards, loaded once, installed in each shard's catalog
    recovery        open a shard: replay the journal to its tail, append WriterOpened
    batch           the batch that is being filled: entries, names, tickets, the row it becomes
    writer          queue -> decide -> evolve -> group commit -> reply
    ledger          one process: its shards, the directory, and what spans them

Transport, journal, clock and randomness are handed in, so the whole runs under a simulator: nothing
here imports time, random, uuid, threads or a driver.
"""
