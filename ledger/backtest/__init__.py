"""Pricing simulation: a range of the journal decided again under a candidate card (row C8).

What was asked for is a fact and stays: usage, authorisations, grants, payments, policies, billing.
What the ledger made of it is decided again by the core's own functions, in a state of its own:
prices, who pays, denials, expiry, rollover, backfill, true-up. Nothing is written, and nothing of
the ledger that runs is touched. Read in this order:

    asked, asked_terms, asked_work    the command that an entry answered
    again           one recorded decision, decided again from the state before it
    candidate       the cards of a tenant with the candidate in their midst
    terms, terms_file, terms_part    extra grants, scaled grants, other limits; as people write them
    figures         what both sides charged, earned and cost: by account, by product
    sides           what entries say of charges and money, on either side
    originals       which entries are corrected later, found before they are replayed
    numbers         grants and top-ups keep the numbers that the journal knows them by
    usual, usual_parts, usual_costs    most usage, decided again in one loop
    usage_entries, hold_entries, entries    what each kind of entry asks for
    trying          what terms do in a replay
    replay          entries -> commands -> the core -> figures
    shard           one shard's rows: folded up to the range, replayed within it
    job, worker     a process for some shards: a Job in, progress and Figures out
    processes       all shards, over as many processes as there are cores
    simulator       the same for callers of a server, one at a time
    run             from the database alone: what is asked for, checked; what was found, named
    report          the answer, as one document
"""
