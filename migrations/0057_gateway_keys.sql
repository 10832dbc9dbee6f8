-- What signs the tokens of work that gateways let in while its account's shard was away. Every server
-- of this database signs with the newest key; the first one is made by the first server.
-- Append-only: a new key is a row.
CREATE TABLE ledger.gateway_key (
    number        int    PRIMARY KEY CHECK (number >= 1),
    secret        bytea  NOT NULL CHECK (octet_length(secret) = 32),
    made_at       bigint NOT NULL,                          -- microseconds, database clock
    made_by       text   NOT NULL CHECK (octet_length(made_by) BETWEEN 1 AND 256),
    before_until  bigint NOT NULL                           -- until then earlier keys count, too
);
SELECT ledger.make_append_only('ledger.gateway_key');
