-- Tenant-wide configuration: a stream of versions a tenant, its bodies immutable blobs by hash.

CREATE TABLE ledger.configuration_blob (
    hash  bytea PRIMARY KEY CHECK (octet_length(hash) = 32),
    body  bytea NOT NULL
);
SELECT ledger.make_append_only('ledger.configuration_blob');

CREATE TABLE ledger.configuration (
    tenant          int      NOT NULL REFERENCES ledger.tenant (number),
    version         bigint   NOT NULL CHECK (version >= 1),    -- gapless per tenant
    kind            smallint NOT NULL CHECK (kind IN (1, 2)),  -- 1 asset, 2 rate card
    name            text COLLATE "C" NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 128),
    content_hash    bytea    NOT NULL REFERENCES ledger.configuration_blob (hash),
    published_at    bigint   NOT NULL,                         -- microseconds, database clock
    effective_from  bigint   NOT NULL,
    PRIMARY KEY (tenant, version)
);
CREATE INDEX configuration_by_name ON ledger.configuration (tenant, kind, name, version);
SELECT ledger.make_append_only('ledger.configuration');
