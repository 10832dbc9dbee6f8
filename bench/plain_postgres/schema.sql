-- The usual alternative: a usage-billing schema as a good team would write it on plain PostgreSQL.
-- Accounts in families, grants with a priority and an expiry, usage keyed by (family, source, id),
-- one transfer a grant drawn, one balance row an account. No projections: these tables are the
-- read models.

CREATE SCHEMA usual;

CREATE TABLE usual.account (
    account bigint PRIMARY KEY,
    family  bigint NOT NULL,
    name    text   NOT NULL UNIQUE
);

CREATE TABLE usual.price (
    product    text   NOT NULL,
    mode       text   NOT NULL,
    quantity   text   NOT NULL,
    unit_price bigint NOT NULL CHECK (unit_price >= 0),
    PRIMARY KEY (product, mode, quantity)
);

CREATE TABLE usual.grants (
    grant_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account      bigint NOT NULL REFERENCES usual.account,
    priority     int    NOT NULL,
    effective_at bigint NOT NULL,                      -- microseconds since 1970, UTC
    expires_at   bigint,                               -- NULL = never
    amount       bigint NOT NULL CHECK (amount > 0),
    drawn        bigint NOT NULL DEFAULT 0 CHECK (drawn BETWEEN 0 AND amount),
    price_paid   bigint NOT NULL DEFAULT 0             -- in minor units of money, for all of it
);
-- Not on `drawn`: an update of it stays within its page (HOT).
CREATE INDEX grants_order ON usual.grants (account, priority, expires_at NULLS LAST, grant_id);

CREATE TABLE usual.balance (
    account    bigint PRIMARY KEY REFERENCES usual.account,
    available  bigint NOT NULL,                        -- left of all grants
    owed       bigint NOT NULL DEFAULT 0,              -- used beyond them
    used       bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 70);

CREATE TABLE usual.usage (
    family       bigint   NOT NULL,
    source       text     NOT NULL,
    id           text     NOT NULL,
    account      bigint   NOT NULL,
    effective_at bigint   NOT NULL,
    recorded_at  timestamptz NOT NULL DEFAULT now(),
    product      text     NOT NULL,
    attributes   jsonb    NOT NULL,
    names        text[]   NOT NULL,
    quantities   bigint[] NOT NULL,
    charge       bigint   NOT NULL DEFAULT 0,
    PRIMARY KEY (family, source, id)
);

CREATE TABLE usual.transfer (
    transfer_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    family      bigint NOT NULL,
    source      text   NOT NULL,
    usage_id    text   NOT NULL,
    debit       text   NOT NULL,                       -- grant/N or advance/ACCOUNT
    credit      text   NOT NULL,                       -- used/PRODUCT
    amount      bigint NOT NULL CHECK (amount > 0),
    value       bigint NOT NULL                        -- money recognised
);
CREATE INDEX transfer_usage ON usual.transfer (family, source, usage_id);
