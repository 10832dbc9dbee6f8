-- name: park
-- Keep an event until its account appears; the first body stays.
INSERT INTO ledger.parked_usage (tenant, account_id, source, event_id, body)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (tenant, account_id, source, event_id) DO NOTHING
RETURNING 1

-- name: body
-- What is kept.
SELECT body FROM ledger.parked_usage
WHERE tenant = $1 AND account_id = $2 AND source = $3 AND event_id = $4

-- name: list
-- What waits for an account, oldest first.
SELECT tenant, account_id, source, event_id, body,
       (extract(epoch FROM parked_at) * 1000000)::bigint AS parked_at_us
FROM ledger.parked_usage WHERE tenant = $1 AND account_id = $2
ORDER BY parked_at, source, event_id LIMIT $3

-- name: names
-- Who is waited for: a page by the bytes of the names.
SELECT account_id, count(*) AS events FROM ledger.parked_usage
WHERE tenant = $1 AND account_id > $3
GROUP BY account_id ORDER BY account_id LIMIT $2

-- name: delete
-- They were replayed.
DELETE FROM ledger.parked_usage p
USING unnest($3::text[], $4::text[]) AS k (source, event_id)
WHERE p.tenant = $1 AND p.account_id = $2 AND p.source = k.source AND p.event_id = k.event_id

-- name: tenant_exists
-- Whether there is such a tenant.
SELECT EXISTS (SELECT 1 FROM ledger.tenant WHERE number = $1)
