"""Gateways that ask before a request runs and tell what it used, without code of their own.

Envoy speaks gRPC (`authorization`, `rate_limit`); whatever is asked goes through the same
DecisionService as everything else (`inside`). In reading order: sources, routes, replies, inside,
authorizing, settling, authorization, rate_limit. `envoy` is generated. Import-free: generated
modules run it.
"""
