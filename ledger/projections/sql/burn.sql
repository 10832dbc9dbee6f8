-- name: began
-- The hour in which usage of these accounts first drew, by asset.
SELECT b.asset, min(h.hour)
FROM projection.usage_hours h
JOIN projection.books b ON b.tenant = h.tenant AND b.shard = h.shard AND b.book = h.book
WHERE h.tenant = $1 AND h.shard = $2 AND h.account = ANY($3::bigint[]) AND b.kind IN (1, 2, 3)
GROUP BY b.asset

-- name: drawn
-- What usage of these accounts drew by the hour since $4, and what that of others drew from the grants
-- that $5 share with them.
SELECT b.asset, h.hour, sum(h.amount)
FROM projection.usage_hours h
JOIN projection.books b ON b.tenant = h.tenant AND b.shard = h.shard AND b.book = h.book
WHERE h.tenant = $1 AND h.shard = $2 AND h.account = ANY($3::bigint[]) AND h.hour >= $4
  AND b.kind IN (1, 2, 3)
GROUP BY b.asset, h.hour
UNION ALL
SELECT g.asset, h.hour, sum(h.amount)
FROM projection.grants g
JOIN projection.usage_hours h ON h.tenant = g.tenant AND h.shard = g.shard AND h.book = g.book
WHERE g.tenant = $1 AND g.shard = $2 AND g.account = ANY($5::bigint[]) AND g.shared
  AND h.hour >= $4 AND h.account <> ALL($3::bigint[])
GROUP BY g.asset, h.hour
