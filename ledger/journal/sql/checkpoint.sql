-- name: load
-- The stored checkpoint of a shard.
SELECT epoch, batch_seq, hash, entry_seq, recorded_at, format, body
FROM ledger.checkpoint WHERE shard = $1

-- name: places
-- Families without their bodies, one page.
SELECT root, accounts, due, format, tenant FROM ledger.checkpoint_family
WHERE shard = $1 AND root > $2 ORDER BY root LIMIT $3

-- name: families
-- Some families, and the checkpoint that they are of: one row without a family where there is none.
SELECT c.epoch, c.batch_seq, f.root, f.accounts, f.due, f.format, f.tenant,
       f.body
FROM ledger.checkpoint c
LEFT JOIN ledger.checkpoint_family f ON f.shard = c.shard AND f.root = ANY($2::bigint[])
WHERE c.shard = $1 ORDER BY f.root

-- name: families_page
-- Families with their bodies, one page.
SELECT root, accounts, due, format, tenant, body FROM ledger.checkpoint_family
WHERE shard = $1 AND root > $2 ORDER BY root LIMIT $3

-- name: segments
-- Every key segment without its buckets.
SELECT number, generation, first_batch, last_batch, keys, bucket_bits, format, filter
FROM ledger.key_segment WHERE shard = $1 ORDER BY number

-- name: buckets
-- Some buckets of the segments that are still there, empty ones too, and the checkpoint that they
-- are of: rows without a segment where there is none.
SELECT c.epoch, c.batch_seq, s.number, wanted.bucket, coalesce(b.body, ''::bytea)
FROM ledger.checkpoint c
CROSS JOIN unnest($2::bigint[], $3::int[]) AS wanted (segment, bucket)
LEFT JOIN ledger.key_segment s ON s.shard = c.shard AND s.number = wanted.segment
LEFT JOIN ledger.key_bucket b ON b.shard = c.shard AND b.segment = wanted.segment
                             AND b.bucket = wanted.bucket
WHERE c.shard = $1

-- name: all_buckets
-- Buckets of one segment, one page.
SELECT bucket, body FROM ledger.key_bucket
WHERE shard = $1 AND segment = $2 AND bucket > $3 ORDER BY bucket LIMIT $4

-- name: claim_first
-- The first owner of a shard's checkpoints.
INSERT INTO ledger.checkpoint (shard, epoch) VALUES ($1, $2)
ON CONFLICT (shard) DO NOTHING RETURNING epoch

-- name: claim
-- The next owner, if the checkpoint is still the one that it has seen.
UPDATE ledger.checkpoint SET epoch = $2
WHERE shard = $1 AND epoch < $2 AND batch_seq = $3 AND hash = $4 RETURNING epoch

-- name: reset
-- The same where what is stored is not of this journal.
UPDATE ledger.checkpoint
SET epoch = $2, batch_seq = DEFAULT, hash = DEFAULT, entry_seq = DEFAULT, recorded_at = DEFAULT,
    format = DEFAULT, body = DEFAULT
WHERE shard = $1 AND batch_seq = $3 AND hash = $4 RETURNING epoch

-- name: drop_families
-- Every family of a shard.
DELETE FROM ledger.checkpoint_family WHERE shard = $1

-- name: drop_all_segments
-- Every segment of a shard.
DELETE FROM ledger.key_segment WHERE shard = $1

-- name: drop_all_buckets
-- Every bucket of a shard.
DELETE FROM ledger.key_bucket WHERE shard = $1

-- name: row_hash
-- The hash of a journal row.
SELECT hash FROM ledger.journal WHERE shard = $1 AND batch_seq = $2

-- name: put_families
-- Families that changed.
INSERT INTO ledger.checkpoint_family (shard, root, accounts, due, format, tenant, body)
SELECT $1::int, * FROM unnest($2::bigint[], $3::bytea[], $4::bigint[], $5::smallint[], $6::int[],
                              $7::bytea[])
ON CONFLICT (shard, root) DO UPDATE
SET accounts = excluded.accounts, due = excluded.due, format = excluded.format,
    tenant = excluded.tenant, body = excluded.body

-- name: put_segment
-- A new key segment.
INSERT INTO ledger.key_segment (shard, number, generation, first_batch, last_batch, keys,
                                bucket_bits, format, filter)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)

-- name: drop_segments
-- Segments that were merged or have left the window.
DELETE FROM ledger.key_segment WHERE shard = $1 AND number = ANY($2::bigint[])

-- name: drop_buckets
-- Their buckets.
DELETE FROM ledger.key_bucket WHERE shard = $1 AND segment = ANY($2::bigint[])

-- name: move
-- The checkpoint itself, last: a compare-and-swap that holds its lock only until the commit.
UPDATE ledger.checkpoint
SET batch_seq = $3, hash = $4, entry_seq = $5, recorded_at = $6, format = $7, body = $8
WHERE shard = $1 AND epoch = $2 AND batch_seq = $9 RETURNING epoch
