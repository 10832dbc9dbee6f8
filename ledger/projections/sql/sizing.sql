-- name: rules
-- The newest sizing rules of every tenant that has any.
SELECT DISTINCT ON (c.tenant) c.tenant, b.body
FROM ledger.configuration c JOIN ledger.configuration_blob b ON b.hash = c.content_hash
WHERE c.kind = $1 ORDER BY c.tenant, c.version DESC

-- name: begun
-- What is learned on a shard.
SELECT tenant, product, attributes FROM projection.sizing_progress WHERE shard = $1

-- name: begin
-- Usage of a product is to be learned from; where it is already, nothing changes.
INSERT INTO projection.sizing_progress (tenant, shard, product, attributes, entries)
VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING

-- name: lock
-- What is learned on a shard, for whoever comes first.
SELECT tenant, product, attributes, entries FROM projection.sizing_progress
WHERE shard = $1 AND entries < $2 ORDER BY tenant, product, attributes
FOR UPDATE SKIP LOCKED

-- name: usage
-- What was used in a stretch of entries: plain usage, and the end of each hold; not what an expiry
-- has charged, which is an estimate. `parts`: several captures are to be added up.
SELECT u.entry_seq, u.account, u.recorded_at, p.attributes, p.quantity_names, u.quantities,
       CASE WHEN l.lease IS NULL AND h.captures > 1 THEN u.hold END AS parts,
       h.entry_seq AS held_by, h.account AS holder
FROM projection.usage_events u
JOIN projection.plans p ON p.tenant = u.tenant AND p.shard = u.shard AND p.plan = u.plan
LEFT JOIN projection.holds h ON h.tenant = u.tenant AND h.shard = u.shard AND h.number = u.hold
LEFT JOIN projection.lease_entries l ON l.tenant = u.tenant AND l.account = h.account AND l.lease = h.number
    AND l.change = 1
WHERE u.tenant = $1 AND u.shard = $2 AND u.entry_seq >= $3 AND u.entry_seq < $4
  AND p.product = $5 AND u.outcome < 3 AND NOT u.by_expiry
  AND (u.hold IS NULL OR u.late OR l.lease IS NOT NULL OR h.settled_by = u.entry_seq)
ORDER BY u.entry_seq

-- name: parts
-- All that was captured of a hold until an entry.
SELECT p.quantity_names, u.quantities
FROM projection.usage_events u
JOIN projection.plans p ON p.tenant = u.tenant AND p.shard = u.shard AND p.plan = u.plan
WHERE u.tenant = $1 AND u.shard = $2 AND u.account = $3 AND u.hold = $4
  AND u.entry_seq > $5 AND u.entry_seq <= $6

-- name: sketch
-- What is kept of one stream.
SELECT sketch FROM projection.sizing_sketches
WHERE tenant = $1 AND shard = $2 AND product = $3 AND attributes = $4 AND attr_values = $5
  AND account = $6 AND quantity = $7 AND fortnight = $8

-- name: keep
-- Keep a stream.
INSERT INTO projection.sizing_sketches (tenant, shard, product, attributes, attr_values, account, quantity,
                             fortnight, observations, last_entry, sketch)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (tenant, product, attributes, attr_values, account, quantity, fortnight, shard)
DO UPDATE SET observations = EXCLUDED.observations, last_entry = EXCLUDED.last_entry,
              sketch = EXCLUDED.sketch

-- name: advance
-- That stretch is learned.
UPDATE projection.sizing_progress SET entries = $5
WHERE tenant = $1 AND shard = $2 AND product = $3 AND attributes = $4

-- name: forget_old
-- What was recorded before the fortnight before.
DELETE FROM projection.sizing_sketches WHERE tenant = $1 AND shard = $2 AND fortnight < $3

-- name: forget_idle
-- What was used longest ago, where more is kept than may be.
DELETE FROM projection.sizing_sketches s USING (
    SELECT last_entry FROM projection.sizing_sketches WHERE tenant = $1 AND shard = $2
    ORDER BY last_entry DESC OFFSET $3 LIMIT 1
) o
WHERE s.tenant = $1 AND s.shard = $2 AND s.last_entry <= o.last_entry

-- name: learned
-- Streams of one account with these values, of all with these values, and of all; on every shard.
SELECT account, attr_values, quantity, observations, sketch FROM projection.sizing_sketches
WHERE tenant = $1 AND product = $2 AND attributes = $3 AND quantity = ANY ($4)
  AND fortnight BETWEEN $5 AND $6
  AND ((account = $7 AND attr_values = $8) OR (account = 0 AND attr_values IN ($8, '{}')))

-- name: accuracy
-- How sized holds turned out that were captured for the last time, by what they were of.
SELECT p.product, p.attributes, s.quantity, s.learned_of, s.permille,
       count(*) AS holds,
       count(*) FILTER (WHERE s.learned_of > 0 AND used.amount <= s.value) AS within_value,
       count(*) FILTER (WHERE used.amount > s.held) AS above_hold,
       sum(s.asked) AS asked, sum(s.held) AS held, sum(used.amount) AS used,
       sum(greatest(used.amount - s.held, 0)) AS above
FROM projection.hold_sizes s
JOIN projection.holds h ON h.tenant = s.tenant AND h.shard = s.shard AND h.number = s.hold AND h.state = 1
JOIN projection.plans p ON p.tenant = s.tenant AND p.shard = s.shard AND p.plan = s.plan
CROSS JOIN LATERAL (
    SELECT coalesce(sum(u.quantities[array_position(q.quantity_names, s.quantity)]), 0) AS amount
    FROM projection.usage_events u
    JOIN projection.plans q ON q.tenant = u.tenant AND q.shard = u.shard AND q.plan = u.plan
    WHERE u.tenant = h.tenant AND u.shard = h.shard AND u.account = h.account
      AND u.hold = h.number AND u.entry_seq > h.entry_seq AND u.entry_seq <= h.settled_by
) used
WHERE s.tenant = $1 AND s.recorded_at >= $2 AND s.recorded_at < $3
  AND ($4::bigint IS NULL OR s.account = $4) AND ($5::text = '' OR p.product = $5)
GROUP BY p.product, p.attributes, s.quantity, s.learned_of, s.permille
ORDER BY p.product, p.attributes, s.quantity, s.learned_of, s.permille
OFFSET $6 LIMIT $7

-- name: positions
-- How far the read models are, by shard.
SELECT shard, entries FROM projection.checkpoint ORDER BY shard
