-- Read models say of which operation a lease is. They are derived: the tables that stand go, and the
-- projector fills the new ones from the journal.
ALTER FUNCTION ledger.create_projection(text) RENAME TO create_projection_without_lease_operations;

CREATE FUNCTION ledger.create_projection(name text) RETURNS void LANGUAGE plpgsql AS $create$
DECLARE
    before text := current_setting('search_path');
BEGIN
    PERFORM ledger.create_projection_without_lease_operations(name);
    PERFORM set_config('search_path', format('%I', name), true);

    -- Of one that is granted: digests of its operation and of that one's parent; NULL = of none.
    ALTER TABLE lease_entries ADD COLUMN operation bytea, ADD COLUMN parent bytea;

    CREATE OR REPLACE VIEW leases AS
    SELECT g.tenant, g.shard, g.account, g.lease, g.holder, g.on_lapse, g.recorded_at AS granted_at,
           l.change, l.recorded_at AS changed_at, h.state = 0 AS open, h.asset, h.captured,
           CASE WHEN h.state = 0 THEN h.amount - h.captured ELSE 0 END AS in_escrow, h.expires_at,
           g.operation, g.parent
    FROM lease_entries g
    JOIN holds h ON h.tenant = g.tenant AND h.shard = g.shard AND h.number = g.lease
    JOIN LATERAL (
        SELECT e.change, e.recorded_at FROM lease_entries e
        WHERE e.tenant = g.tenant AND e.account = g.account AND e.lease = g.lease
        ORDER BY e.entry_seq DESC LIMIT 1
    ) l ON true
    WHERE g.change = 1;

    PERFORM set_config('search_path', before, true);
    PERFORM ledger.grant_projection(name);
END $create$;
REVOKE EXECUTE ON FUNCTION ledger.create_projection(text) FROM PUBLIC;

DROP SCHEMA IF EXISTS projection CASCADE;
SELECT ledger.create_projection('projection');
