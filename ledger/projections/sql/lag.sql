-- name: reached
-- Where every shard stands.
SELECT shard, entries, recorded_at FROM projection.checkpoint ORDER BY shard
