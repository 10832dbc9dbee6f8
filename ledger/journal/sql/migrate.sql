-- name: try_lock
-- One migrator at a time. Tried again and again: a session that waits would hold a snapshot, and
-- CREATE INDEX CONCURRENTLY waits for those.
SELECT pg_try_advisory_lock(hashtextextended('ledger.migrate', 0))

-- name: server
-- What the server is: version number, encoding.
SELECT current_setting('server_version_num')::int AS version,
       current_setting('server_encoding') AS encoding

-- name: bootstrap
-- Where applied migrations are written down.
CREATE SCHEMA IF NOT EXISTS ledger;
CREATE TABLE IF NOT EXISTS ledger.migration (
    number      int         PRIMARY KEY,
    name        text        NOT NULL,
    checksum    text        NOT NULL,
    applied_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- name: has_migrations
-- Whether this database was ever migrated.
SELECT to_regclass('ledger.migration') IS NOT NULL

-- name: applied
-- Every applied migration, in order.
SELECT number, name, checksum FROM ledger.migration ORDER BY number

-- name: record
-- Write one down.
INSERT INTO ledger.migration (number, name, checksum) VALUES ($1, $2, $3)

-- name: fix_settings
-- The first migrate fixes what may never change.
INSERT INTO ledger.settings (shards, hash_name) VALUES ($1, $2) ON CONFLICT (only_row) DO NOTHING

-- name: settings
-- What was fixed.
SELECT shards, hash_name, instance_id, (extract(epoch FROM created_at) * 1000000)::bigint AS created
FROM ledger.settings

-- name: create_role
-- The application's role, where the migrating user may create one; roles belong to the cluster, so
-- another database's migrate may be doing the same.
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'drawdown_app') THEN
        CREATE ROLE drawdown_app NOLOGIN;
    END IF;
    IF NOT pg_has_role(current_user, 'drawdown_app', 'MEMBER') THEN
        GRANT drawdown_app TO CURRENT_USER;
    END IF;
EXCEPTION
    WHEN insufficient_privilege OR duplicate_object OR unique_violation THEN NULL;
END $$

-- name: grant_role
-- What the application may do, said anew at each migrate: no UPDATE, DELETE or TRUNCATE on what is
-- append-only.
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'drawdown_app') THEN
        RETURN;
    END IF;
    GRANT USAGE ON SCHEMA ledger TO drawdown_app;
    GRANT SELECT ON ledger.migration, ledger.settings TO drawdown_app;
    GRANT SELECT, INSERT ON ledger.seal, ledger.seal_key TO drawdown_app;
    GRANT SELECT, INSERT ON ledger.api_key, ledger.api_key_revocation, ledger.signed_token,
        ledger.server_secret, ledger.server_key, ledger.gateway_key, ledger.change_asked TO drawdown_app;
    GRANT SELECT, INSERT ON ledger.journal, ledger.configuration, ledger.configuration_blob,
        ledger.tenant TO drawdown_app;
    GRANT SELECT, INSERT, UPDATE, DELETE ON ledger.journal_private, ledger.account_directory,
        ledger.account_alias, ledger.family_placement, ledger.parked_usage TO drawdown_app;
    GRANT SELECT, INSERT, UPDATE, DELETE ON ledger.checkpoint, ledger.checkpoint_family,
        ledger.key_segment, ledger.key_bucket TO drawdown_app;
    GRANT SELECT, INSERT, UPDATE, DELETE ON ledger.server, ledger.shard_lease,
        ledger.directory_version, ledger.directory_change TO drawdown_app;
    GRANT USAGE ON SEQUENCE ledger.account_number TO drawdown_app;
    GRANT EXECUTE ON FUNCTION ledger.ensure_partitions(bigint) TO drawdown_app;
    PERFORM ledger.grant_projection('projection');
END $$
