"""The pure core: no I/O, no clock, no randomness, no asyncio.

A command becomes events, events become state. The kernel is here, one topic a folder below it; each
folder says in which order to read it.

    limits, outcomes        what is bounded, and how a refusal looks
    events, commands        the facts of the journal, and what may be asked
    upcast                  retired events, and what each means today
    periods, windows        calendars in a zone; what is counted together, and counters
    books                   double entry: book accounts, four counters, transfers
    holdings, holds, account, family, timers, state    the fold of the events
    live_timers             its timers made anew, after it was read back
    evolve                  the only code that changes it
    catalog, shapes         the compiled configuration that decisions read
    identity, keys, bodies, repeats     what was recorded before, and is it the same
    admission, opening      whether a command is let in; what its entry needs before it
    decide                  the door: execute one command
    due, applying           what time makes due before it; entries applied, and what follows each

    accounts, funding       whose credit, where it comes from, with whom it is shared
    pricing, drawing        what an event costs; who pays
    metering                recorded usage: `usage` plainly, `usual` fast
    decisions, budgets, leases, mandates    may this work run, within which limits
    packages, contracts, seats, charges     what is sold
    statements              what is closed

    packing                 a family, and the rest of a shard, as bytes and back
    digest, account_form    the canonical form of the state
"""
