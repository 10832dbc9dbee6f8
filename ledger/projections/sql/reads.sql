-- name: reached
-- Where every shard stands.
SELECT shard, entries, recorded_at FROM projection.checkpoint ORDER BY shard

-- name: usage_of_event
-- One usage event by the names that it was sent with, newest first; reads an account's events.
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

-- name: suspense
-- Unrated quantities of a tenant on one shard after an entry, one page of entries.
SELECT s.*, c.entries AS as_of FROM projection.suspense s
JOIN projection.checkpoint c ON c.shard = s.shard
WHERE s.tenant = $1 AND s.shard = $2 AND s.entry_seq > $3
ORDER BY s.entry_seq, s.quantity_name LIMIT $4

-- name: trial_balance
-- Debits and credits of a tenant by asset, kind of book and name, a row a shard.
SELECT * FROM projection.trial_balance WHERE tenant = $1 ORDER BY asset, kind, name, shard
