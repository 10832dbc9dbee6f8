-- name: last_before
-- The last batch of a shard that was recorded before a time; 0 = none.
SELECT coalesce(max(batch_seq), 0) FROM ledger.journal WHERE shard = $1 AND recorded_at < $2
