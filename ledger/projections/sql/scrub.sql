-- name: place
-- Whose account it is, and where.
SELECT tenant, shard FROM ledger.account_directory WHERE number = $1

-- name: copies
-- Every copy of the read models there is: one that a rebuild fills, which may take its place at any
-- moment, and then the one in use.
SELECT nspname FROM pg_namespace
WHERE nspname IN ('projection', 'projection_shadow')
  AND to_regclass(nspname || '.usage_events') IS NOT NULL
ORDER BY nspname DESC

-- name: announce
-- Waits for the transaction of the shard's projector; those that follow read private records again.
UPDATE checkpoint SET scrubs = scrubs + 1 WHERE shard = $1

-- name: actors
-- Forget who asked for entries of the account: it may be they.
DELETE FROM entry_actors WHERE tenant = $1 AND account = $2 AND shard = $3

-- name: page
-- Blank some events after this entry; the last one that was looked at.
WITH page AS (
    SELECT entry_seq FROM usage_events
    WHERE tenant = $1 AND account = $2 AND shard = $3 AND entry_seq > $4
    ORDER BY entry_seq LIMIT $5
), blanked AS (
    UPDATE usage_events u
    SET source = NULL, event_id = NULL, operation = NULL, operation_parent = NULL, personal = NULL
    FROM page
    WHERE u.tenant = $1 AND u.shard = $3 AND u.entry_seq = page.entry_seq
      AND (u.source IS NOT NULL OR u.event_id IS NOT NULL OR u.operation IS NOT NULL
           OR u.operation_parent IS NOT NULL OR u.personal IS NOT NULL)
    RETURNING 1
)
SELECT (SELECT max(entry_seq) FROM page) AS last, (SELECT count(*) FROM blanked) AS blanked
