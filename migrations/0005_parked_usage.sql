-- Usage for accounts or aliases that nobody knows yet (rule I2): kept until they appear.

CREATE TABLE ledger.parked_usage (
    tenant      int         NOT NULL REFERENCES ledger.tenant (number),
    account_id  text COLLATE "C" NOT NULL CHECK (octet_length(account_id) BETWEEN 1 AND 128),
    source      text COLLATE "C" NOT NULL CHECK (octet_length(source) <= 128),
    event_id    text COLLATE "C" NOT NULL CHECK (octet_length(event_id) BETWEEN 1 AND 128),
    body        bytea       NOT NULL,
    parked_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant, account_id, source, event_id)
);
