-- Checkpoints: what a shard's journal adds up to at one batch, so that opening it is load + tail.
-- Nothing here is truth: a checkpoint whose hash is not that of the journal's row is not read.
-- Every key begins with the shard, and each transaction touches one shard.

-- One row a shard: the shard without its families and keys. `epoch` is that of the writer that may
-- write: a successor raises it, so that its predecessor's checkpoints come to nothing.
CREATE TABLE ledger.checkpoint (
    shard        int      PRIMARY KEY CHECK (shard >= 0),
    epoch        bigint   NOT NULL CHECK (epoch >= 1),
    batch_seq    bigint   NOT NULL DEFAULT 0 CHECK (batch_seq >= 0),      -- 0 = none yet
    hash         bytea    NOT NULL DEFAULT decode(repeat('00', 32), 'hex')
                          CHECK (octet_length(hash) = 32),                -- of the journal's row
    entry_seq    bigint   NOT NULL DEFAULT 0 CHECK (entry_seq >= 0),
    recorded_at  bigint   NOT NULL DEFAULT 0,                             -- microseconds since 1970
    format       smallint NOT NULL DEFAULT 1 CHECK (format >= 1),
    body         bytea    NOT NULL DEFAULT ''
);

-- One row a family (a root and everything under it), as it was when it last changed before the
-- checkpoint. `due`: when something of it falls due, microseconds; 2^63 - 1 = nothing will.
CREATE TABLE ledger.checkpoint_family (
    shard     int      NOT NULL,
    root      bigint   NOT NULL,
    accounts  bytea    NOT NULL CHECK (octet_length(accounts) % 8 = 0),   -- numbers, big-endian
    due       bigint   NOT NULL,
    format    smallint NOT NULL CHECK (format >= 1),
    body      bytea    NOT NULL,
    PRIMARY KEY (shard, root)
);

-- Identities by the generation in which they were recorded; never changed, only merged or dropped.
CREATE TABLE ledger.key_segment (
    shard        int      NOT NULL,
    number       bigint   NOT NULL CHECK (number >= 1),
    generation   bigint   NOT NULL,                                       -- its start, microseconds
    first_batch  bigint   NOT NULL,
    last_batch   bigint   NOT NULL,
    keys         bigint   NOT NULL CHECK (keys >= 1),
    bucket_bits  smallint NOT NULL CHECK (bucket_bits BETWEEN 0 AND 24),
    format       smallint NOT NULL CHECK (format >= 1),
    filter       bytea    NOT NULL,
    PRIMARY KEY (shard, number)
);
ALTER TABLE ledger.key_segment ALTER COLUMN filter SET STORAGE EXTERNAL;

-- The keys of a segment that share their first `bucket_bits` bits: 16 bytes of key and 8 of locator
-- each, in the order recorded.
CREATE TABLE ledger.key_bucket (
    shard    int    NOT NULL,
    segment  bigint NOT NULL,
    bucket   int    NOT NULL CHECK (bucket >= 0),
    body     bytea  NOT NULL CHECK (octet_length(body) % 24 = 0),
    PRIMARY KEY (shard, segment, bucket)
);
ALTER TABLE ledger.key_bucket ALTER COLUMN body SET STORAGE EXTERNAL;
