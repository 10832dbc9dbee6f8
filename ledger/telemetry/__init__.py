"""Traces and metrics, by cost: nothing per event, next to nothing per unsampled call.

    traceparent, sampling   which trace a call belongs to, and whether it is recorded
    spans                   finished spans on their way out: a bounded queue and one thread
    rpc                     the one hook of a gRPC call: start, finish
    tallies                 counters and histograms as plain integers
    observer                what the engine says of batches: metrics, batch and commit spans
    metrics                 the tallies in Prometheus's words
    http_bounds             how long its connections may take, and how many there are
    bounded_http            one of them
    side_port               /metrics, /healthz and /readyz over HTTP, on loopback
    telemetry               all of it put together from the environment

Business code holds no telemetry: it calls `rpc` once a call, and the engine's `Observer` once a
batch. Whatever fails here must never fail a call.
"""
