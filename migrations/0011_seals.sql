-- Seals: what an Ed25519 key signs of each shard's journal, and the public keys that sign. Append-only
-- as the journal is; docs/integrity.md states every byte.

-- Public keys, one record each, chained; the private ones are never here.
CREATE TABLE ledger.seal_key (
    key_seq        int      PRIMARY KEY CHECK (key_seq >= 1),           -- gapless
    format         smallint NOT NULL CHECK (format >= 1),
    key_id         bytea    NOT NULL UNIQUE CHECK (octet_length(key_id) = 16),
    public_key     bytea    NOT NULL UNIQUE CHECK (octet_length(public_key) = 32),
    introduced_by  bytea    NOT NULL CHECK (octet_length(introduced_by) = 16),  -- zero: by nobody
    introduced_at  bigint   NOT NULL,                                   -- microseconds, UTC
    prev_hash      bytea    NOT NULL CHECK (octet_length(prev_hash) = 32),
    old_signature  bytea    NOT NULL CHECK (octet_length(old_signature) = 64),
    signature      bytea    NOT NULL CHECK (octet_length(signature) = 64)
);
SELECT ledger.make_append_only('ledger.seal_key');

-- Seals of a shard, gapless. Of two sealers one gets a seal_seq; the other reads on. `secret` makes
-- the salts of the leaves; `chunk_roots` are the roots of each 1,024 leaves.
CREATE TABLE ledger.seal (
    shard        int      NOT NULL CHECK (shard >= 0),
    seal_seq     bigint   NOT NULL CHECK (seal_seq >= 1),
    format       smallint NOT NULL CHECK (format >= 1),
    key_id       bytea    NOT NULL REFERENCES ledger.seal_key (key_id),
    first_batch  bigint   NOT NULL,
    last_batch   bigint   NOT NULL CHECK (last_batch >= first_batch),
    first_entry  bigint   NOT NULL,
    next_entry   bigint   NOT NULL CHECK (next_entry > first_entry),
    sealed_at    bigint   NOT NULL,                                     -- microseconds, UTC
    head_hash    bytea    NOT NULL CHECK (octet_length(head_hash) = 32),
    merkle_root  bytea    NOT NULL CHECK (octet_length(merkle_root) = 32),
    prev_seal    bytea    NOT NULL CHECK (octet_length(prev_seal) = 32),
    signature    bytea    NOT NULL CHECK (octet_length(signature) = 64),
    secret       bytea    NOT NULL CHECK (octet_length(secret) = 32),
    chunk_roots  bytea    NOT NULL CHECK (octet_length(chunk_roots) % 32 = 0),
    PRIMARY KEY (shard, seal_seq)
);
CREATE UNIQUE INDEX seal_entries ON ledger.seal (shard, next_entry);
SELECT ledger.make_append_only('ledger.seal');
