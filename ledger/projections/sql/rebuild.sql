-- name: try_lock
-- One rebuild at a time; ends with its session.
SELECT pg_try_advisory_lock(hashtextextended('ledger.rebuild', 0))

-- name: create_shadow
-- An empty copy beside the one in use; what an earlier rebuild left is dropped.
DROP SCHEMA IF EXISTS projection_shadow CASCADE;
DROP SCHEMA IF EXISTS projection_old CASCADE;
SELECT ledger.create_projection('projection_shadow')

-- name: exists
-- Whether there are read models to replace.
SELECT to_regclass('projection.checkpoint') IS NOT NULL

-- name: hold_still
-- No projector moves the copy in use until this transaction ends.
LOCK TABLE projection.checkpoint IN ACCESS EXCLUSIVE MODE

-- name: positions
-- Where the copy in use stands.
SELECT shard, batch_seq FROM projection.checkpoint

-- name: set_aside
-- The copy in use is in use no longer.
ALTER SCHEMA projection RENAME TO projection_old

-- name: take_place
-- The shadow takes its place.
ALTER SCHEMA projection_shadow RENAME TO projection

-- name: drop_old
-- Waits for those who still read it.
DROP SCHEMA IF EXISTS projection_old CASCADE

-- name: drop_shadow
-- A rebuild that failed leaves nothing.
DROP SCHEMA IF EXISTS projection_shadow CASCADE
