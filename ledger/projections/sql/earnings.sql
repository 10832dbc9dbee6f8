-- name: reached
-- Where every shard stands.
SELECT shard, entries FROM projection.checkpoint ORDER BY shard

-- name: margin
-- What usage of a span of time earned and cost, one page of groups: of one account, of it and those
-- below it as it was recorded, or of all of a tenant. A group is "=" and its name; "" = usage that
-- has none.
WITH RECURSIVE wanted (account, since, until) AS (
    SELECT a.account, 0::bigint, 9223372036854775807 FROM projection.accounts a
    WHERE a.tenant = $1 AND a.account = $2::bigint
    UNION
    SELECT p.account, greatest(w.since, p.since), least(w.until, p.until)
    FROM wanted w JOIN projection.account_places p ON p.parent = w.account
    WHERE p.tenant = $1 AND $3::boolean AND p.since < w.until AND w.since < p.until
), used AS MATERIALIZED (
    SELECT u.tenant, u.shard, u.entry_seq, w.entry_seq AS waits, c.lines,
           coalesce('=' || CASE $6::int
               WHEN 1 THEN p.product
               WHEN 2 THEN u.account::text
               WHEN 3 THEN encode(o.operation, 'hex')
               WHEN 4 THEN p.attributes ->> $7::text
           END, '') AS grouped
    FROM projection.usage_events u
    JOIN projection.plans p USING (tenant, shard, plan)
    LEFT JOIN projection.usage_operations o USING (tenant, shard, entry_seq)
    LEFT JOIN projection.usage_costs c USING (tenant, shard, entry_seq)
    LEFT JOIN projection.waiting w USING (tenant, shard, entry_seq)
    WHERE u.tenant = $1 AND u.outcome < 3 AND u.effective_at >= $4 AND u.effective_at < $5
      AND ($2::bigint IS NULL OR EXISTS (
               SELECT FROM wanted w
               WHERE w.account = u.account AND w.since <= u.entry_seq AND u.entry_seq < w.until))
), shared AS (
    SELECT r.tenant, r.shard, r.entry_seq, coalesce('=' || CASE $6::int
               WHEN 1 THEN p.product
               WHEN 2 THEN r.account::text
               WHEN 4 THEN p.attributes ->> $7::text
           END, '') AS grouped
    FROM projection.shared_rerates r
    JOIN projection.plans p USING (tenant, shard, plan)
    WHERE r.tenant = $1 AND r.effective_at >= $4 AND r.effective_at < $5
      AND ($2::bigint IS NULL OR EXISTS (
               SELECT FROM wanted w
               WHERE w.account = r.account AND w.since <= r.entry_seq AND r.entry_seq < w.until))
), repaid AS (
    SELECT '=' || CASE $6::int WHEN 1 THEN b.product ELSE b.account::text END AS grouped,
           b.asset, sum(b.value) AS amount
    FROM projection.backfilled b
    WHERE $6::int IN (1, 2) AND b.tenant = $1 AND b.recorded_at >= $4 AND b.recorded_at < $5
      AND ($2::bigint IS NULL OR EXISTS (
               SELECT FROM wanted w
               WHERE w.account = b.account AND w.since <= b.entry_seq AND b.entry_seq < w.until))
    GROUP BY 1, 2
), page AS (
    SELECT g.grouped, coalesce(sum(g.calls), 0) AS calls, coalesce(sum(g.unrated), 0) AS unrated,
           coalesce(sum(g.unknown), 0) AS unknown
    FROM (SELECT grouped, count(*) AS calls, count(waits) AS unrated,
                 count(*) FILTER (WHERE lines IS NULL OR array_position(lines, NULL) IS NOT NULL)
                     AS unknown
          FROM used GROUP BY grouped
          UNION ALL
          SELECT grouped, 0, 0, 0 FROM shared
          UNION ALL
          SELECT grouped, 0, 0, 0 FROM repaid) g
    GROUP BY g.grouped ORDER BY g.grouped COLLATE "C" OFFSET $8::int LIMIT $9::int
)
SELECT g.grouped, g.calls, g.unrated, g.unknown, f.kind, f.asset, f.amount
FROM page g LEFT JOIN (
    SELECT u.grouped, m.kind, m.asset, sum(m.amount) AS amount
    FROM page p JOIN (
        SELECT grouped, tenant, shard, entry_seq FROM used
        UNION ALL  -- what others made earlier usage cost
        SELECT grouped, tenant, shard, entry_seq FROM shared
        UNION ALL
        SELECT u.grouped, u.tenant, u.shard, f.entry_seq
        FROM used u JOIN projection.usage_follow_ups f
            ON f.tenant = u.tenant AND f.shard = u.shard AND f.original_entry = u.entry_seq
        UNION ALL  -- what follows its rating after it had waited
        SELECT u.grouped, u.tenant, u.shard, g.entry_seq
        FROM used u JOIN projection.usage_follow_ups f
            ON f.tenant = u.tenant AND f.shard = u.shard AND f.original_entry = u.entry_seq
        JOIN projection.usage_follow_ups g
            ON g.tenant = f.tenant AND g.shard = f.shard AND g.original_entry = f.entry_seq
    ) u USING (grouped)
    JOIN projection.usage_figures m USING (tenant, shard, entry_seq)
    GROUP BY u.grouped, m.kind, m.asset
    UNION ALL
    SELECT grouped, 5, asset, amount FROM repaid
) f ON f.grouped = g.grouped
ORDER BY g.grouped COLLATE "C", f.kind, f.asset

-- name: overage
-- What usage of a span of time has put on the overage of a payer, by the account that used, less what
-- was given back since.
SELECT account, asset, sum(amount) AS amount
FROM projection.overage_draws
WHERE tenant = $1 AND payer = $2 AND effective_at >= $3 AND effective_at < $4
GROUP BY account, asset ORDER BY account, asset OFFSET $5::int LIMIT $6::int

-- name: operations
-- An operation and those below it, each once, nearest first, with what they are called if it is still
-- known.
WITH RECURSIVE below AS (
    SELECT $2::bytea AS operation, NULL::bytea AS parent, 0 AS depth
    UNION
    SELECT o.operation, o.parent, b.depth + 1
    FROM below b JOIN projection.usage_operations o ON o.tenant = $1 AND o.parent = b.operation
    WHERE b.depth < $3::int
), nearest AS (
    SELECT DISTINCT ON (operation) operation, parent, depth FROM below ORDER BY operation, depth
)
SELECT n.operation, n.parent, n.depth,
       (SELECT u.operation FROM projection.usage_operations o
        JOIN projection.usage_events u USING (tenant, shard, entry_seq)
        WHERE o.tenant = $1 AND o.operation = n.operation AND u.operation IS NOT NULL LIMIT 1)
FROM nearest n
WHERE EXISTS (SELECT FROM projection.usage_operations o
              WHERE o.tenant = $1 AND (o.operation = n.operation OR o.parent = n.operation))
ORDER BY n.depth, n.operation LIMIT $4::int

-- name: parents
-- What caused an operation.
SELECT o.parent, max(u.operation_parent)
FROM projection.usage_operations o
JOIN projection.usage_events u USING (tenant, shard, entry_seq)
WHERE o.tenant = $1 AND o.operation = $2::bytea AND o.parent IS NOT NULL
GROUP BY o.parent ORDER BY o.parent

-- name: of_operations
-- What usage of these operations earned and cost.
WITH used AS MATERIALIZED (
    SELECT o.operation, o.tenant, o.shard, o.entry_seq, w.entry_seq AS waits, c.lines
    FROM projection.usage_operations o
    JOIN projection.usage_events u USING (tenant, shard, entry_seq)
    LEFT JOIN projection.usage_costs c USING (tenant, shard, entry_seq)
    LEFT JOIN projection.waiting w USING (tenant, shard, entry_seq)
    WHERE o.tenant = $1 AND o.operation = ANY($2::bytea[]) AND u.outcome < 3
), counted AS (
    SELECT operation, count(*) AS calls, count(waits) AS unrated,
           count(*) FILTER (WHERE lines IS NULL OR array_position(lines, NULL) IS NOT NULL)
               AS unknown
    FROM used GROUP BY operation
)
SELECT c.operation, c.calls, c.unrated, c.unknown, f.kind, f.asset, f.amount
FROM counted c LEFT JOIN (
    SELECT u.operation, m.kind, m.asset, sum(m.amount) AS amount
    FROM (
        SELECT operation, tenant, shard, entry_seq FROM used
        UNION ALL
        SELECT u.operation, u.tenant, u.shard, f.entry_seq
        FROM used u JOIN projection.usage_follow_ups f
            ON f.tenant = u.tenant AND f.shard = u.shard AND f.original_entry = u.entry_seq
        UNION ALL
        SELECT u.operation, u.tenant, u.shard, g.entry_seq
        FROM used u JOIN projection.usage_follow_ups f
            ON f.tenant = u.tenant AND f.shard = u.shard AND f.original_entry = u.entry_seq
        JOIN projection.usage_follow_ups g
            ON g.tenant = f.tenant AND g.shard = f.shard AND g.original_entry = f.entry_seq
    ) u
    JOIN projection.usage_figures m USING (tenant, shard, entry_seq)
    GROUP BY u.operation, m.kind, m.asset
) f USING (operation)
ORDER BY c.operation, f.kind, f.asset
