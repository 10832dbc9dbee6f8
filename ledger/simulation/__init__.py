"""Deterministic simulation: the real core, engine, projector and client in a world that fails.

One seed is one world: clients, servers, a network and a database on a loop of our own, with faults
drawn beforehand. The history that clients saw and the journal that is left are checked against a
small naive model. The same seed always runs the same way. Read in this order:

    rules        what must hold, by stable names
    loop         our event loop: virtual time, seeded order, no threads, no sockets
    processes    what a SIGKILL ends and a SIGSTOP stops: handles by process, clocks that jump
    scenario     a seed's operations and faults, drawn beforehand, so that they can be taken away
    draws        chance, and what an operation is drawn of
    draws_usage, draws_decisions, draws_operations, draws_budgets, draws_reserves, draws_seats,
    draws_charges, draws_packages, draws_contracts, draws_mandates, draws_leases, draws_accounts,
    draws_money, draws_schedules, draws_quotes
                 how each is drawn, by topic
    workload     one entry a command: how often it comes, which worlds draw it
    plans        the packages that some worlds publish
    prices       the assets and rate cards that the world publishes
    limits       limits of the engine so small that a world reaches them
    database     rows, commits that land late or never, stores a round trip away
    spoilt       stored checkpoints that do not fit their journal any more
    network      messages lost, doubled, delayed, overtaken
    messages     what clients and servers say to each other
    server       requests -> commands -> the real ledger -> replies
    client       the real client core and its retries; writes the history
    projection   the real projector over simulated tables
    views        an account as a read shows it
    months       where each month of an account begins, in whatever zones
    naive_holdings   accounts, grants, holds and schedules by their figures
    naive_charges    fixed charges by their figures, and what a period of one costs
    naive_packages   subscriptions, and the policy under a package
    naive_contracts  contracts, and the term of each that runs
    naive        the naive price and the naive waterfall
    model        the naive ledger: plain dicts, Fractions; judges the journal entry by entry
    refusals, refused_budgets, refused_credits, refused_seats, refused_charges,
    refused_packages, refused_contracts, refused_leases
                 whether a refusal follows from the model's state
    checks       history against the model
    final        the states that are left against the model, a replay, read models and `verify`
    world        one scenario from start to verdict
    shrink       the shortest history that still breaks the same rule
    mutation     a deliberate fault in a copy of a module, or swapped into a function
    mutants      the list of deliberate faults, and mutant_seeds that catch them
    mutants_waterfall, mutants_usage, mutants_decisions, mutants_operations, mutants_budgets,
    mutants_reserves, mutants_mandates, mutants_purchases, mutants_leases, mutants_months,
    mutants_credits, mutants_seats, mutants_charges, mutants_packages,
    mutants_flips, mutants_contracts
                 ... of the core
    mutants_writer, mutants_engine     ... of the writer, leases, checkpoints and recovery
    lease_holders    holders of credit leases, in cheap worlds of their own
    batches      many seeds and mutants over worker processes
    results      the file that this and other tools write their figures into

Nothing outside this package imports it, except the command line and tests.
"""
