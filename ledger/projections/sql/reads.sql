-- name: reached
-- Where every shard stands.
SELECT shard, entries, recorded_at FROM projection.checkpoint ORDER BY shard

-- name: usage_of_event
-- One usage event by the names that it was sent with, newest first.
SELECT u.*, c.entries AS as_of FROM projection.usage u
JOIN projection.checkpoint c ON c.shard = u.shard
WHERE u.tenant = $1 AND u.account = $2 AND u.source = $3 AND u.event_id = $4
ORDER BY u.entry_seq DESC LIMIT 1

-- name: usage_of_account
-- An account's usage before an entry, newest first, one page.
SELECT u.*, c.entries AS as_of FROM projection.usage u
JOIN projection.checkpoint c ON c.shard = u.shard
WHERE u.tenant = $1 AND u.account = $2 AND u.entry_seq < $3
ORDER BY u.entry_seq DESC LIMIT $4

-- name: adjustments
-- Entries of closed periods that count in one period of an account, after an entry, one page. What
-- was charged is above 0, what was given back below.
SELECT a.entry_seq, a.closed, a.period, a.recorded_at, u.event_id, u.source,
       r.original_entry, coalesce(u.asset, r.asset) AS asset, coalesce(u.charge, -r.amount) AS amount,
       c.entries AS as_of
FROM projection.adjustments a
JOIN projection.checkpoint c ON c.shard = a.shard
LEFT JOIN projection.usage_events u
    ON u.tenant = a.tenant AND u.shard = a.shard AND u.entry_seq = a.entry_seq
LEFT JOIN projection.reversals r
    ON r.tenant = a.tenant AND r.shard = a.shard AND r.entry_seq = a.entry_seq
WHERE a.tenant = $1 AND a.account = $2 AND a.period = $3 AND a.entry_seq > $4
ORDER BY a.entry_seq LIMIT $5

-- name: suspense
-- Unrated quantities of a tenant on one shard after an entry, one page of entries.
SELECT s.*, c.entries AS as_of FROM projection.suspense s
JOIN projection.checkpoint c ON c.shard = s.shard
WHERE s.tenant = $1 AND s.shard = $2 AND s.entry_seq > $3
ORDER BY s.entry_seq, s.quantity_name LIMIT $4

-- name: trial_balance
-- Debits and credits of a tenant by asset, kind of book and name, a row a shard.
SELECT * FROM projection.trial_balance WHERE tenant = $1 ORDER BY asset, kind, name, shard
