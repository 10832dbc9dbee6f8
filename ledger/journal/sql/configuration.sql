-- name: lock_tenant
-- One publication a tenant at a time: versions are gapless.
SELECT pg_advisory_xact_lock(hashtextextended('ledger.configuration/' || $1::int, 2))

-- name: tenant_exists
-- Whether there is such a tenant.
SELECT EXISTS (SELECT 1 FROM ledger.tenant WHERE number = $1)

-- name: latest
-- The latest version of a kind and name.
SELECT tenant, version, kind, name, content_hash, published_at, effective_from
FROM ledger.configuration WHERE tenant = $1 AND kind = $2 AND name = $3
ORDER BY version DESC LIMIT 1

-- name: insert_blob
-- A body stands once.
INSERT INTO ledger.configuration_blob (hash, body) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING

-- name: insert
-- The next version of the tenant's stream, at the database's clock + the tenant's offset,
-- which may not fall back.
INSERT INTO ledger.configuration
    (tenant, version, kind, name, content_hash, published_at, effective_from)
SELECT $1::int, coalesce(t.version, 0) + 1, $2::smallint, $3::text, $4::bytea, c.now,
       coalesce($5::bigint, c.now + $6::bigint)
FROM (SELECT max(version) AS version, max(published_at) AS published_at
      FROM ledger.configuration WHERE tenant = $1) t,
LATERAL (SELECT greatest((extract(epoch FROM clock_timestamp()) * 1000000)::bigint + $7::bigint,
                         t.published_at) AS now) c
RETURNING tenant, version, kind, name, content_hash, published_at, effective_from

-- name: read
-- A tenant's versions, one page.
SELECT tenant, version, kind, name, content_hash, published_at, effective_from
FROM ledger.configuration WHERE tenant = $1 AND version > $2 ORDER BY version LIMIT $3

-- name: read_all
-- Every tenant's versions.
SELECT tenant, version, kind, name, content_hash, published_at, effective_from
FROM ledger.configuration WHERE version > $1 ORDER BY tenant, version

-- name: body
-- A blob.
SELECT body FROM ledger.configuration_blob WHERE hash = $1
