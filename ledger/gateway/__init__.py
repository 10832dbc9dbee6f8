"""Gateways that ask before a request runs and tell what it used, without code of their own.

Envoy speaks gRPC (`authorization`, `rate_limit`), others plain HTTP (`forward_auth`,
`cloud_events`, `http`); whatever is asked goes through the same services as everything else
(`inside`), and while an account's shard is away the product's fail mode decides (`away`). In
reading order: sources, routes, replies, inside, authorizing, let_in, unread, open_spool,
recording, away, settling, authorization, descriptors, rate_limit, forward_auth, cloud_events, http.
`envoy` is generated. Import-free: generated modules run it.
"""
