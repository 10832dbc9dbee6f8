-- name: watched
-- Accounts and assets of these shards whose runway alert is in force.
SELECT shard, tenant, account, asset
FROM (
    SELECT DISTINCT ON (shard, account, asset) shard, tenant, account, asset, version
    FROM projection.runway_rules WHERE shard = ANY($1::int[])
    ORDER BY shard, account, asset, entry_seq DESC
) newest
WHERE version IS NOT NULL
