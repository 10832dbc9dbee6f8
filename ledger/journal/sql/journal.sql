-- name: append
-- One batch and its private records in one autocommit statement. Writes nothing (0) where the
-- stored tail is not the one that the batch continues.
WITH batch AS (
    INSERT INTO ledger.journal (shard, batch_seq, recorded_at, first_event, event_count,
                                format, codec, prev_hash, hash, payload)
    SELECT $1::int, $2::bigint, $3::bigint, $4::bigint, $5::int,
           $6::smallint, $7::smallint, $8::bytea, $9::bytea, $10::bytea
    WHERE $2 = 1 OR EXISTS (
        SELECT 1 FROM ledger.journal WHERE shard = $1 AND batch_seq = $2 - 1 AND hash = $8)
    RETURNING 1
), private AS (
    INSERT INTO ledger.journal_private (shard, batch_seq, records)
    SELECT $1, $2, $11::bytea FROM batch WHERE octet_length($11) > 0
)
SELECT count(*) FROM batch

-- name: exists
-- Whether a batch is there.
SELECT EXISTS (SELECT 1 FROM ledger.journal WHERE shard = $1 AND batch_seq = $2)

-- name: head
-- The last batch of a shard.
SELECT batch_seq, recorded_at, first_event, event_count, hash
FROM ledger.journal WHERE shard = $1 ORDER BY batch_seq DESC LIMIT 1

-- name: page
-- Batches in order, one page.
SELECT shard, batch_seq, recorded_at, first_event, event_count, format, codec, prev_hash, hash,
       payload, ''::bytea AS private
FROM ledger.journal
WHERE shard = $1 AND batch_seq > $2 AND batch_seq <= $3
ORDER BY batch_seq LIMIT $4

-- name: page_with_private
-- The same with the erasable records.
SELECT j.shard, j.batch_seq, j.recorded_at, j.first_event, j.event_count, j.format, j.codec,
       j.prev_hash, j.hash, j.payload, coalesce(p.records, ''::bytea) AS private
FROM ledger.journal j
LEFT JOIN ledger.journal_private p ON p.shard = j.shard AND p.batch_seq = j.batch_seq
WHERE j.shard = $1 AND j.batch_seq > $2 AND j.batch_seq <= $3
ORDER BY j.batch_seq LIMIT $4

-- name: fetch
-- Some batches, in order.
SELECT shard, batch_seq, recorded_at, first_event, event_count, format, codec, prev_hash, hash,
       payload, ''::bytea AS private
FROM ledger.journal
WHERE shard = $1 AND batch_seq = ANY($2::bigint[])
ORDER BY batch_seq

-- name: fetch_with_private
-- The same with the erasable records.
SELECT j.shard, j.batch_seq, j.recorded_at, j.first_event, j.event_count, j.format, j.codec,
       j.prev_hash, j.hash, j.payload, coalesce(p.records, ''::bytea) AS private
FROM ledger.journal j
LEFT JOIN ledger.journal_private p ON p.shard = j.shard AND p.batch_seq = j.batch_seq
WHERE j.shard = $1 AND j.batch_seq = ANY($2::bigint[])
ORDER BY j.batch_seq

-- name: capacity
-- The last batch_seq that has a partition.
SELECT ledger.journal_capacity()

-- name: ensure_partitions
-- Make room until this batch; returns the new capacity.
SELECT ledger.ensure_partitions($1)

-- name: now
-- The database's clock, microseconds UTC.
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint

-- name: private_page
-- Private records of a shard, one page, to blank some of them.
SELECT batch_seq, records FROM ledger.journal_private
WHERE shard = $1 AND batch_seq > $2 ORDER BY batch_seq LIMIT $3

-- name: private_replace
-- Blanked records, only where nobody else changed them meanwhile.
UPDATE ledger.journal_private SET records = $3
WHERE shard = $1 AND batch_seq = $2 AND records = $4

-- name: patient
-- This transaction may idle: its reader makes objects of many rows between two statements.
SET LOCAL idle_in_transaction_session_timeout = 0
