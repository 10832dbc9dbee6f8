"""Who calls, and what they may do: bearer tokens, API keys, certificates, scopes, subtrees.

Read in this order:

    refusals        why a caller is not let in: stable reasons
    principal       who was proven to call, with which scopes, for which tenant and accounts
    claims          what a token says, checked and made a principal
    keys            public keys of an issuer: read from PEM, JWK and JWKS
    key_sources     where they come from, and how they are kept up to date
    tokens          signed tokens (JWT) verified
    api_keys        keys of our own: minted, digested, verified within a bound of revocation
    key_store       where they stand in PostgreSQL
    mandate_tokens  such tokens signed and verified
    certificates    client certificates (mTLS) that stand for principals
    shared_keys     secrets that servers share and renew
    gateway_keys    what servers sign with what a gateway hands back
    passing         a principal that one server hands to another, sealed
    authenticator   one door: headers and peer in, principal out
    asked           what an operator asks of callers
    opening         all of it from what an operator set
    signing         key pairs and tokens of our own, for `drawdown token`

Nothing here knows a service, a method or an account's place; `ledger.api.access` says what each
method asks for and `ledger.api.permits` whose account is whose. No secret is logged or shown.
"""
