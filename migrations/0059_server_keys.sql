-- What seals whom one server passes a call on for: each secret after the first, which stands in
-- `server_secret`. Every server of this database seals with the newest. Append-only: a new one is a row.
CREATE TABLE ledger.server_key (
    number        int    PRIMARY KEY CHECK (number >= 1),
    secret        bytea  NOT NULL CHECK (octet_length(secret) = 32),
    made_at       bigint NOT NULL,                          -- microseconds, database clock
    made_by       text   NOT NULL CHECK (octet_length(made_by) BETWEEN 1 AND 256),
    before_until  bigint NOT NULL                           -- until then earlier ones count, too
);
SELECT ledger.make_append_only('ledger.server_key');
