-- Who may call: API keys as digests, who issued and revoked them, tokens that were signed here, and
-- administrative changes that no journal entry stands for. All append-only: a revocation is a row.

-- `digest`: BLAKE2b-256 of the 32 random bytes of the key, which nobody keeps. tenant NULL = all;
-- accounts (numbers, so that an erasure has nothing to blank) empty = the whole tenant.
CREATE TABLE ledger.api_key (
    id          text COLLATE "C" PRIMARY KEY CHECK (id ~ '^[0-9a-f]{16}$'),
    digest      bytea    NOT NULL CHECK (octet_length(digest) = 32),
    tenant      int      REFERENCES ledger.tenant (number),
    accounts    bigint[] NOT NULL DEFAULT '{}',
    scopes      text[]   NOT NULL CHECK (cardinality(scopes) >= 1),
    label       text     NOT NULL DEFAULT '' CHECK (octet_length(label) <= 128),
    issued_at   bigint   NOT NULL,                          -- microseconds, database clock
    issued_by   text     NOT NULL CHECK (octet_length(issued_by) BETWEEN 1 AND 256),
    expires_at  bigint   NOT NULL DEFAULT 0,                -- microseconds; 0 = never
    CHECK (tenant IS NOT NULL OR cardinality(accounts) = 0)
);
SELECT ledger.make_append_only('ledger.api_key');

CREATE TABLE ledger.api_key_revocation (
    id          text COLLATE "C" PRIMARY KEY REFERENCES ledger.api_key (id),
    revoked_at  bigint NOT NULL,                            -- microseconds, database clock
    revoked_by  text   NOT NULL CHECK (octet_length(revoked_by) BETWEEN 1 AND 256)
);
SELECT ledger.make_append_only('ledger.api_key_revocation');

-- Tokens that `drawdown token issue` signed; the token itself is never here.
CREATE TABLE ledger.signed_token (
    token_id    text COLLATE "C" PRIMARY KEY CHECK (octet_length(token_id) BETWEEN 1 AND 64),
    key_id      text     NOT NULL,
    subject     text     NOT NULL CHECK (octet_length(subject) BETWEEN 1 AND 128),
    tenant      int      REFERENCES ledger.tenant (number),
    accounts    bigint[] NOT NULL DEFAULT '{}',
    scopes      text[]   NOT NULL,
    signed_at   bigint   NOT NULL,                          -- microseconds, database clock
    signed_by   text     NOT NULL CHECK (octet_length(signed_by) BETWEEN 1 AND 256),
    expires_at  bigint   NOT NULL
);
SELECT ledger.make_append_only('ledger.signed_token');

-- What the servers of this database share and nobody else has: they seal with it whom they pass a
-- call on for. Made by the first server.
CREATE TABLE ledger.server_secret (
    only_row  boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    secret    bytea   NOT NULL CHECK (octet_length(secret) = 32)
);
SELECT ledger.make_append_only('ledger.server_secret');

-- Who asked for changes that stand in no journal entry: published configuration, aliases, clocks,
-- erasures. Written before the change is tried.
CREATE TABLE ledger.change_asked (
    number      bigint  PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    asked_at    bigint  NOT NULL,                           -- microseconds, database clock
    actor       text    NOT NULL CHECK (octet_length(actor) BETWEEN 1 AND 256),
    method      text    NOT NULL,
    tenant      int     NOT NULL,
    account     bigint  NOT NULL DEFAULT 0,                 -- 0 = none
    name        text    NOT NULL DEFAULT ''                 -- of a card, package and so on
);
CREATE INDEX change_asked_by_tenant ON ledger.change_asked (tenant, number);
SELECT ledger.make_append_only('ledger.change_asked');
