"""Deterministic simulation: the real core, engine, projector and client in a world that fails.

One seed is one world: clients, servers, a network and a database on a loop of our own, with faults
drawn beforehand. The history that clients saw and the journal that is left are checked against a
small naive model. The same seed always runs the same way. Read in this order:

    rules        what must hold, by stable names
    loop         our event loop: virtual time, seeded order, no threads, no sockets
    processes    what a SIGKILL ends and a SIGSTOP stops: handles by process, clocks that jump
    scenario     a seed's operations and faults, drawn beforehand, so that they can be taken away
    workload     one entry a command: how it is drawn
    prices       the assets and rate cards that the world publishes
    limits       limits of the engine so small that a world reaches them
    database     rows, commits that land late or never, stores a round trip away
    spoilt       stored checkpoints that do not fit their journal any more
    network      messages lost, doubled, delayed, overtaken
    messages     what clients and servers say to each other
    server       requests -> commands -> the real ledger -> replies
    client       the real client core and its retries; writes the history
    projection   the real projector over simulated tables
    model        the naive ledger: plain dicts, Fractions; judges the journal entry by entry
    naive        its price and its waterfall
    checks       history and final state against the model
    world        one scenario from start to verdict
    shrink       the shortest history that still breaks the same rule
    mutation     a deliberate fault in a copy of a module, by import hook
    mutants      the list of deliberate faults
    mutants_engine  ... of leases, checkpoints, exact dedupe and recovery
    batches      many seeds and mutants over worker processes
    results      the file that this and other tools write their figures into

Nothing outside this package imports it, except the command line and tests.
"""
