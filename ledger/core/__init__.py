"""The pure core: no I/O, no clock, no randomness, no asyncio.

Read in this order:

    limits, outcomes        what is bounded, and how a refusal looks
    events, commands        the facts of the journal, and what may be asked
    upcast                  retired events, and what each means today
    periods                 periods and months in a zone, and shares of them
    windows                 what is counted together: windows and their counters
    books                   double entry: book accounts, four counters, transfers
    holdings, waiting, state    the fold of the events
    catalog, shapes, aliases    the compiled configuration that decisions read
    comparators             which grant pays first
    budgets, budget_faults, budgeting   limits in windows: as state, what is valid, set and asked
    budget_values           limits for each value of an attribute: who has which counter
    budget_counts, tallies  what they count: behind an entry, behind a run
    mandates, mandating     agents' mandates: as state, granted, revoked and asked
    opening                 what an entry needs before it: books, a plan's declaration
    caps                    what an account may draw of the grants above it
    drawdown                the waterfall: which pots pay
    costs, cost_refunds     what the provider takes beside it, and takes less when it is given back
    shared_totals, scopes   totals of several accounts; where a total starts, and whose it is
    contracted              whether an account has what its card asks for
    pricing                 what an event costs: its plan over the totals that run on
    unwinding, rerates      to whom units go back; what earlier usage costs anew
    rerate_shares           what others bear of that, with whom a total is shared
    conversion              what the settlement currency pays, and is given back
    paying                  one path from a price to slices and what follows them
    quotes, quoted, quoting     promised prices: as state, for usage that names one, made
    admission               whether a command is let in: its key, its account, its time
    commitments, true_ups   created, ended, invoiced; what a child's true-up counts toward
    minimums                what a period lacks of a card's minimums
    repriced, touched, repricing    usage rated again by a job: its price, which, what comes of it
    fixed_charges, charge_prices    a fixed charge: as state, its figures
    charge_faults, charge_terms     what terms may say by themselves, and of an account
    charge_fees, charging   who pays it and when it is earned; started, changed, ended, by time
    outcome_charges         work that is charged once its result is confirmed
    leases, lease_room, leasing     credit leases: as state, how much there is for one, decided
    levels                  what meters count over what counts already
    gauges, gauging         latest values of a scope, charged when it is over: as state, decided
    packaged, subscriptions, sold   what a package says; what an account has of one, prices too
    phases, package_policy, package_terms   its phases; what it sets of a policy; what a period is
    packaged_budgets, package_budgets   budgets that it carries: as published, set and removed
    packaged_rules, package_rules       and rules of decisions
    packaged_charges, package_charges   fixed charges: as published, started, changed and ended
    packaged_seats, package_seats       and plans of seats: as published, begun and ended
    subscribing             begun, changed, carried on, ended
    contracts, contract_terms, contracting  a package for a time: as state, what it may say, decided
    seats, seat_shares, seat_checks     seats as state, what their time is worth, what may be asked
    seat_changes            which seats there are after a change, with what
    seat_fees, seating, seat_draws  their fee; plans from start to end; whose allowance usage draws
    statements, stating     statements as state: which there are; asked for, ended, closed
    usage, linked, suspense, holds, grants, following, recurring, corrections, adjustments,
    payments, top_ups, closing, accounts, moving, standing, overrides, sharing
                            one module a kind of decision
    shortfall, affording    which limit decides; as much as all of them afford
    decision_policies, rule_faults, policing    rules of decisions: as state, what is valid, set
    ruling                  what they make of work that may not run as it was asked for
    authorizing, debits     a hold or a denial; charged in one step
    checking                advice on much work of many accounts
    reckoning               the steps of an assessment, for who asks why
    evolve                  the only code that changes state
    decide                  the door: execute one command
    usual                   most usage, decided and applied many at a time
    identity, keys          what was recorded before, and is it the same
    packing                 a family, and the rest of a shard, as bytes and back
    digest                  the canonical form of the state
"""
