"""The engine: one writer a shard makes the core's decisions durable. Read in this order:

    clock           time as it is handed in, and the time that a writer may record
    ticket          commands on their way through, and what comes back
    recent          the last batches in memory, and how a recorded outcome is found again
    configuration   published assets, cards, aliases and clocks, loaded once, applied by each shard
    upkeep          limits of checkpoints and paging, and work in slices
    watching        who waits for changes of families
    segments        identities beyond memory, and the filters that ask them
    paging          which families are in memory
    checkpoint      capture, pack, wait until durable, write
    restore         read a stored checkpoint back
    lease           whether reads of a shard may be answered now
    recovery        open a shard: load, replay the journal's tail, append WriterOpened
    past            one family as it stood before an entry, read apart from the writer
    resolve         fetch what a ticket needs before it is decided
    profiles        what people call accounts, for the digest in the journal and beside it
    batch           the batch that is being filled: entries, names, tickets, the row it becomes
    answers         who may hear what, and when
    deciding        a ticket's commands become entries of a batch
    recorded        durable entries by key, number and locator
    observer        what whoever watches is told, per batch
    alarm           wakes a writer by a time
    writer          queue -> resolve -> decide -> evolve -> group commit -> reply
    whole           a shard's state in one piece, for digests
    lease_share     who should have which shard; lease_keeper: renew, take, hand over
    shards          a writer for each shard that is this process's own, as long as it is
    sandbox         clocks of sandbox tenants: moved, and waited for
    names           how long cached names may be used beside other processes
    underway        work between looking names up and handing commands to a writer
    ledger          one process: its shards, the directory, and what spans them

Transport, journal, clock and randomness are handed in, so the whole runs under a simulator: nothing
here imports time, random, uuid, threads or a driver.
"""
