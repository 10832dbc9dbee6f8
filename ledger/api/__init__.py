"""The edge: gRPC in, commands to the engine, replies out. Read in this order:

    errors, limits              every way in which a call can fail, and what is checked before
    positions, ids              the opaque strings that callers hand back
    calls, tracing              what every call goes through: deadline, trace, status
    malformed                   what was wrong with a request that is no message
    shapes, parse_plain, parse_compact      usage on its way in, the hot path
    replies                     usage outcomes on their way out
    render_*                    recorded events and present state as messages
    *_service                   one file a gRPC service: proto -> command -> engine -> proto
    server                      the listening server

Only this package sees the generated messages. It decides nothing and keeps nothing.
"""
