-- name: keys
-- Every public key that ever sealed, in order.
SELECT format, key_seq, key_id, public_key, introduced_by, introduced_at, prev_hash, old_signature,
       signature
FROM ledger.seal_key ORDER BY key_seq

-- name: add_key
-- One more public key; writes nothing where its number or the key itself is taken.
INSERT INTO ledger.seal_key (format, key_seq, key_id, public_key, introduced_by, introduced_at,
                             prev_hash, old_signature, signature)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT DO NOTHING

-- name: append
-- One seal that continues the one before; writes nothing where it is taken or does not.
INSERT INTO ledger.seal (format, key_id, shard, seal_seq, first_batch, last_batch, first_entry,
                         next_entry, sealed_at, head_hash, merkle_root, prev_seal, signature,
                         secret, chunk_roots)
SELECT $1::smallint, $2::bytea, $3::int, $4::bigint, $5::bigint, $6::bigint, $7::bigint,
       $8::bigint, $9::bigint, $10::bytea, $11::bytea, $12::bytea, $13::bytea, $14::bytea,
       $15::bytea
WHERE $4 = 1 OR EXISTS (
    SELECT 1 FROM ledger.seal
    WHERE shard = $3 AND seal_seq = $4 - 1 AND last_batch = $5 - 1 AND next_entry = $7)
ON CONFLICT DO NOTHING

-- name: last
-- The last seal of a shard.
SELECT format, key_id, shard, seal_seq, first_batch, last_batch, first_entry, next_entry, sealed_at,
       head_hash, merkle_root, prev_seal, signature, secret, chunk_roots
FROM ledger.seal WHERE shard = $1 ORDER BY seal_seq DESC LIMIT 1

-- name: covering
-- The seal that covers an entry, if one does.
SELECT format, key_id, shard, seal_seq, first_batch, last_batch, first_entry, next_entry, sealed_at,
       head_hash, merkle_root, prev_seal, signature, secret, chunk_roots
FROM ledger.seal WHERE shard = $1 AND next_entry > $2 ORDER BY next_entry LIMIT 1

-- name: page
-- Seals of a shard in order, one page.
SELECT format, key_id, shard, seal_seq, first_batch, last_batch, first_entry, next_entry, sealed_at,
       head_hash, merkle_root, prev_seal, signature, secret, chunk_roots
FROM ledger.seal WHERE shard = $1 AND seal_seq > $2 ORDER BY seal_seq LIMIT $3

-- name: unsealed
-- Shards whose journal goes on behind their last seal.
SELECT s.shard
FROM generate_series(0, $1::int - 1) AS s(shard)
CROSS JOIN LATERAL (
    SELECT batch_seq FROM ledger.journal j WHERE j.shard = s.shard
    ORDER BY batch_seq DESC LIMIT 1) AS head
LEFT JOIN LATERAL (
    SELECT last_batch FROM ledger.seal l WHERE l.shard = s.shard
    ORDER BY seal_seq DESC LIMIT 1) AS sealed ON true
WHERE head.batch_seq > coalesce(sealed.last_batch, 0)
ORDER BY s.shard

-- name: beyond
-- The first shard of a table that the ledger does not have, NULL where there is none.
SELECT least((SELECT min(shard) FROM ledger.journal WHERE shard >= $1),
             (SELECT min(shard) FROM ledger.seal WHERE shard >= $1))
