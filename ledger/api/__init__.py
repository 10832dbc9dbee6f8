"""The edge: gRPC in, commands to the engine, replies out. Read in this order:

    errors, limits              every way in which a call can fail, and what is checked before
    positions, ids, pages       the opaque strings that callers hand back
    tracing, malformed, calls   what every call goes through: trace, deadline, status
    forward, forward_all        calls of other processes' shards, and of every shard
    edge, assets, read_models   who and what is meant; the caches that servicers share
    access, permits, gate       what each method asks of its caller, and whether they may;
                                covering: for each event of a batch; reflecting: what they are shown
    intake                      usage on its way in, the hot path
    replies, answers            what the writers answered, on its way out
    requests, rendering, published, erasing     parts of the services
    account_parts, standing     calls on accounts: what they share; freeze, close, reopen, names
    commitment_parts, package_previews     parts of what is agreed; what another package would do
    card_check                  what a rate card must pass, asked here or in another process
    sizing, sizing_many         how much is held for
    advising, deciding, decide_stream      advice; recorded decisions, one by one and on a stream
    hold_calls, unheld          holds as they are shown; what a gateway let in without one
    passing_stream              what a stream asks of other servers, on one stream to each
    usual_debits                what a stream takes and says of most debits, at once
    check_many                  advice on many pieces of work at once
    balance_figures, budget_pace, gauge_levels, watching     what an account can still spend, and
                                as it changes
    past_balances, rolling_up, forecasting     what it could, all below it can, and will
    showing_usage               one recorded event, with what rated it since
    explaining                  why an event cost what it cost, made of what is recorded
    listing_suspense, listing_adjustments      what waits for a price; what is of another period
    price_sheets, card_aliases, card_difference, quoting, comparing, quote_calls, override_calls
                                those of prices
    finding_usage, amending     usage that is corrected
    charged_usage, rerating, rerate_calls      usage that was charged, rated again by a job
    explaining_decisions        why work is allowed or denied
    explaining_recorded, deciding_again        why it was
    simulating                  prices tried on the journal, in processes beside the server
    closing_statements, statement_page, statement_tables     statements: closed, printed, as tables
    proofs                      proofs of entries, seals and their keys
    services                    one module a gRPC service: proto -> command -> engine -> proto
    runway_watch                balances with an alert, foretold beside the calls; crossings told
    aliases                     other names of accounts
    server                      the listening server

Of the server only this package and `gateway` see the generated messages. It decides nothing and
keeps nothing.
"""
