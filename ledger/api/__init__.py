"""The edge: gRPC in, commands to the engine, replies out. Read in this order:

    errors, limits              every way in which a call can fail, and what is checked before
    positions, ids, pages       the opaque strings that callers hand back
    tracing, malformed, calls   what every call goes through: trace, deadline, status
    forward, forward_all        calls of other processes' shards, and of every shard
    edge, assets                who and what is meant; the caches that servicers share
    access, permits, gate       what each method asks of its caller, and whether they may
    intake                      usage on its way in, the hot path
    replies, answers            what the writers answered, on its way out
    requests, rendering, published, erasing     parts of the services
    card_check                  what a rate card must pass, asked here or in another process
    deciding, decide_stream     recorded decisions, one by one and many on a stream
    passing_stream              what a stream asks of other servers, on one stream to each
    usual_debits                what a stream takes and says of most debits, at once
    check_many                  advice on many pieces of work at once
    balance_figures, watching   what an account can still spend, and as it changes
    showing_usage               one recorded event, with what rated it since
    explaining                  why an event cost what it cost, made of what is recorded
    price_sheets, card_aliases, card_difference, quoting, comparing, quote_calls     those of prices
    charged_usage, rerating, rerate_calls      usage that was charged, rated again by a job
    explaining_decisions        why work is allowed or denied
    explaining_recorded, deciding_again        why it was
    simulating                  prices tried on the journal, in processes beside the server
    services                    one module a gRPC service: proto -> command -> engine -> proto
    runway_watch                balances with an alert, foretold beside the calls; crossings told
    aliases                     other names of accounts
    server                      the listening server

Only this package sees the generated messages. It decides nothing and keeps nothing.
"""
