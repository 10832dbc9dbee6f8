-- name: announce
-- This process lives, for another term.
INSERT INTO ledger.server AS known (process, address, leaving, expires_at)
VALUES ($1, $2, $3, now() + $4::bigint * interval '1 microsecond')
ON CONFLICT (process) DO UPDATE
SET address = excluded.address, leaving = excluded.leaving, expires_at = excluded.expires_at

-- name: renew
-- Another term for the leases that are still this process's own, epoch by epoch.
UPDATE ledger.shard_lease AS held
SET expires_at = now() + $4::bigint * interval '1 microsecond'
FROM unnest($2::int[], $3::bigint[]) AS mine (shard, epoch)
WHERE held.shard = mine.shard AND held.epoch = mine.epoch AND held.owner = $1

-- name: members
-- The processes that live or lived of late, with the time that they have left.
SELECT process, address, leaving,
       (extract(epoch FROM expires_at - clock_timestamp()) * 1000000)::bigint AS left_us
FROM ledger.server
ORDER BY process

-- name: leases
-- Who has which shard, with the time that is left.
SELECT shard, epoch, owner, address,
       (extract(epoch FROM expires_at - clock_timestamp()) * 1000000)::bigint AS left_us
FROM ledger.shard_lease
ORDER BY shard

-- name: acquire
-- Take the shards that nobody has (any more): whoever comes second finds them taken. What is this
-- process's own already is taken anew, under another epoch.
INSERT INTO ledger.shard_lease AS held (shard, epoch, owner, address, expires_at)
SELECT wanted.shard, 1, $1, $2, now() + $4::bigint * interval '1 microsecond'
FROM unnest($3::int[]) AS wanted (shard)
ORDER BY wanted.shard
ON CONFLICT (shard) DO UPDATE
SET epoch = held.epoch + 1, owner = excluded.owner, address = excluded.address,
    taken_at = now(), expires_at = excluded.expires_at
WHERE held.expires_at <= clock_timestamp() OR held.owner = excluded.owner
RETURNING held.shard, held.epoch

-- name: release
-- Give a shard away at once, if it is still ours.
UPDATE ledger.shard_lease SET expires_at = now()
WHERE shard = $1 AND owner = $2 AND epoch = $3

-- name: leave
-- This process is gone.
DELETE FROM ledger.server WHERE process = $1

-- name: sweep
-- Forget processes that died long ago.
DELETE FROM ledger.server WHERE expires_at < now() - interval '1 hour'
