-- name: lock_name
-- One transaction at a time may decide what a name means, as an account id or as an alias.
SELECT pg_advisory_xact_lock(hashtextextended($1::int || '/' || $2::text, 1))

-- name: by_names
-- Accounts by id.
SELECT a.tenant, a.number, a.account_id, coalesce(a.opened_under, a.parent) AS parent, a.root, a.shard,
       coalesce(r.family_key, ''::bytea) AS family_key, a.state
FROM ledger.account_directory a
JOIN ledger.account_directory r ON r.number = a.root
WHERE a.tenant = $1 AND a.account_id = ANY($2::text[]) AND a.state <> 3

-- name: by_number
-- One account by number.
SELECT a.tenant, a.number, a.account_id, coalesce(a.opened_under, a.parent) AS parent, a.root, a.shard,
       coalesce(r.family_key, ''::bytea) AS family_key, a.state
FROM ledger.account_directory a
JOIN ledger.account_directory r ON r.number = a.root
WHERE a.number = $1

-- name: ranges_of_aliases
-- All ranges of these aliases.
SELECT l.alias, a.account_id, l.effective_from, l.effective_to,
       coalesce(l.seat_attribute, '') AS seat_attribute, coalesce(l.seat, '') AS seat
FROM ledger.account_alias l
JOIN ledger.account_directory a ON a.tenant = l.tenant AND a.number = l.account
WHERE l.tenant = $1 AND l.alias = ANY($2::text[])
ORDER BY l.alias, l.effective_from

-- name: ranges_of_account
-- All ranges of all aliases of an account.
SELECT l.alias, a.account_id, l.effective_from, l.effective_to,
       coalesce(l.seat_attribute, '') AS seat_attribute, coalesce(l.seat, '') AS seat
FROM ledger.account_alias l
JOIN ledger.account_directory a ON a.tenant = l.tenant AND a.number = l.account
WHERE l.tenant = $1 AND a.account_id = $2
ORDER BY l.alias, l.effective_from

-- name: is_alias
-- Whether a name was ever given as an alias.
SELECT EXISTS (SELECT 1 FROM ledger.account_alias WHERE tenant = $1 AND alias = $2)

-- name: next_number
-- A number for a root, which names itself.
SELECT nextval('ledger.account_number')

-- name: placement
-- Where a family was put by hand.
SELECT shard FROM ledger.family_placement WHERE tenant = $1 AND root = $2

-- name: share_family
-- Keep a family from losing its key while it gets another account.
SELECT 1 FROM ledger.account_directory WHERE number = $1 FOR KEY SHARE

-- name: insert_root
-- Claim the root of a new family.
INSERT INTO ledger.account_directory (tenant, account_id, number, root, shard, family_key, state)
VALUES ($1, $2, $3, $3, $4, $5, 1)

-- name: insert_child
-- Claim an account below another: same family, same shard.
INSERT INTO ledger.account_directory (tenant, account_id, parent, root, shard, state)
VALUES ($1, $2, $3, $4, $5, 1)

-- name: confirm
-- AccountCreated is durable.
UPDATE ledger.account_directory SET state = 2, profile_version = greatest(profile_version, 1)
WHERE number = $1 AND state = 1

-- name: insert_alias
-- A new range.
INSERT INTO ledger.account_alias
    (tenant, alias, effective_from, effective_to, account, seat_attribute, seat)
VALUES ($1, $2, $3, $4, $5, nullif($6, ''), nullif($7, ''))

-- name: end_alias
-- A range ends earlier, or at all.
UPDATE ledger.account_alias SET effective_to = $4
WHERE tenant = $1 AND alias = $2 AND effective_from = $3

-- name: profile
-- One account with its profile; with $3 also an erased one, by its pseudonym.
SELECT a.tenant, a.number, a.account_id, coalesce(a.opened_under, a.parent) AS parent, a.root, a.shard,
       coalesce(r.family_key, ''::bytea) AS family_key, a.state,
       p.account_id AS parent_id, a.display_name, a.metadata::text AS metadata,
       (extract(epoch FROM a.created_at) * 1000000)::bigint AS created_at_us, a.profile_version, a.place_version,
       coalesce(extract(epoch FROM a.erased_at) * 1000000, 0)::bigint AS erased_at_us
FROM ledger.account_directory a
JOIN ledger.account_directory r ON r.number = a.root
LEFT JOIN ledger.account_directory p ON p.number = a.parent
WHERE a.tenant = $1 AND a.account_id = $2 AND (a.state <> 3 OR $3)

-- name: list_all
-- Accounts of a tenant by id, one page.
SELECT a.tenant, a.number, a.account_id, coalesce(a.opened_under, a.parent) AS parent, a.root, a.shard,
       coalesce(r.family_key, ''::bytea) AS family_key, a.state,
       p.account_id AS parent_id, a.display_name, a.metadata::text AS metadata,
       (extract(epoch FROM a.created_at) * 1000000)::bigint AS created_at_us, a.profile_version, a.place_version,
       coalesce(extract(epoch FROM a.erased_at) * 1000000, 0)::bigint AS erased_at_us
FROM ledger.account_directory a
JOIN ledger.account_directory r ON r.number = a.root
LEFT JOIN ledger.account_directory p ON p.number = a.parent
WHERE a.tenant = $1 AND a.account_id > $2 AND a.state <> 3
ORDER BY a.account_id LIMIT $3

-- name: list_children
-- Children of an account by id, one page.
SELECT a.tenant, a.number, a.account_id, coalesce(a.opened_under, a.parent) AS parent, a.root, a.shard,
       coalesce(r.family_key, ''::bytea) AS family_key, a.state,
       p.account_id AS parent_id, a.display_name, a.metadata::text AS metadata,
       (extract(epoch FROM a.created_at) * 1000000)::bigint AS created_at_us, a.profile_version, a.place_version,
       coalesce(extract(epoch FROM a.erased_at) * 1000000, 0)::bigint AS erased_at_us
FROM ledger.account_directory a
JOIN ledger.account_directory r ON r.number = a.root
JOIN ledger.account_directory p ON p.number = a.parent
WHERE a.tenant = $1 AND a.account_id > $2 AND a.parent = $4 AND a.state <> 3
ORDER BY a.account_id LIMIT $3

-- name: names
-- Account ids by number.
SELECT number, account_id FROM ledger.account_directory WHERE number = ANY($1::bigint[])

-- name: update_profile
-- Replace what is given, unless that version or a later one stands there.
UPDATE ledger.account_directory
SET display_name = coalesce($3, display_name), metadata = coalesce($4::text::jsonb, metadata),
    profile_version = $5
WHERE tenant = $1 AND account_id = $2 AND state <> 3 AND profile_version < $5

-- name: place
-- An account stands below another parent, unless that version or a later one stands there.
UPDATE ledger.account_directory
SET opened_under = coalesce(opened_under, parent), parent = $2, place_version = $3
WHERE number = $1 AND place_version < $3

-- name: lock_account
-- Hold an account for erasure.
SELECT number, root, shard FROM ledger.account_directory
WHERE tenant = $1 AND account_id = $2 AND state <> 3
FOR UPDATE

-- name: lock_root
-- Hold the family: its last account to go takes the key along.
SELECT number FROM ledger.account_directory WHERE number = $1 FOR UPDATE

-- name: pseudonymise
-- The person is gone from this row.
UPDATE ledger.account_directory
SET account_id = $2, display_name = '', metadata = '{}', state = 3, blanked_at = NULL,
    erased_at = now()
WHERE number = $1

-- name: delete_aliases
-- So are the aliases.
DELETE FROM ledger.account_alias WHERE tenant = $1 AND account = $2 RETURNING alias

-- name: delete_parked
-- And whatever waited under these names.
DELETE FROM ledger.parked_usage WHERE tenant = $1 AND account_id = ANY($2::text[])

-- name: delete_placement
-- A root's id stands here too; its shard is in its row.
DELETE FROM ledger.family_placement WHERE tenant = $1 AND root = $2

-- name: delete_family_key
-- Only when the whole family is erased.
UPDATE ledger.account_directory r SET family_key = NULL
WHERE r.number = $1 AND NOT EXISTS (
    SELECT 1 FROM ledger.account_directory a
    WHERE a.tenant = r.tenant AND a.root = r.number AND a.state <> 3)
RETURNING r.number

-- name: erasures_pending
-- Erased accounts whose private records may still stand.
SELECT a.tenant, a.number, a.root, a.shard, a.account_id AS pseudonym,
       r.family_key IS NULL AS family_erased
FROM ledger.account_directory a
JOIN ledger.account_directory r ON r.number = a.root
WHERE a.state = 3 AND a.blanked_at IS NULL
ORDER BY a.number

-- name: erasure_done
-- They are blank.
UPDATE ledger.account_directory SET blanked_at = now() WHERE number = $1 AND state = 3

-- name: tenants
-- All tenants.
SELECT number, name, kind FROM ledger.tenant ORDER BY number

-- name: add_tenant
-- A new tenant.
INSERT INTO ledger.tenant (name, kind) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING

-- name: changes
-- What changed after a version, and the version that the directory has reached.
SELECT reached.version, noted.version AS change, noted.tenant, noted.alias, noted.account
FROM ledger.directory_version reached
LEFT JOIN ledger.directory_change noted ON noted.version > $1
ORDER BY noted.version
