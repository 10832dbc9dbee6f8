-- Credit leases in the read models (rule H7): granted, renewed, returned, lapsed, recalled. They are
-- derived: the tables that stand go, and the projector fills the new ones from the journal.
ALTER FUNCTION ledger.create_projection(text) RENAME TO create_projection_without_leases;

CREATE FUNCTION ledger.create_projection(name text) RETURNS void LANGUAGE plpgsql AS $create$
DECLARE
    before text := current_setting('search_path');
BEGIN
    PERFORM ledger.create_projection_without_leases(name);
    PERFORM set_config('search_path', format('%I', name), true);

    -- One row an entry of a lease. What is in escrow by now stands with its hold, in `holds`; usage
    -- of a lease is usage as any.
    CREATE TABLE lease_entries (
        tenant         int      NOT NULL,
        shard          int      NOT NULL,
        entry_seq      bigint   NOT NULL,
        account        bigint   NOT NULL,
        lease          bigint   NOT NULL,            -- a number among the holds
        -- 1 granted, 2 renewed, 3 returned, 4 written off, 5 lapsed, 6 lapsed and stays charged,
        -- 7 recalled
        change         smallint NOT NULL,
        holder         text,                         -- of one that is granted
        on_lapse       smallint,                     -- 1 return, 2 charge
        wanted         bigint,
        amount         bigint,                       -- in escrow from here on; lapsed: not reported
        share          bigint,                       -- fair share; recalled: what it is to come down to
        lapses_at      bigint,
        recorded_at    bigint   NOT NULL,
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE INDEX lease_entries_account ON lease_entries (tenant, account, lease, entry_seq);

    -- Each lease: whose it is, how it was granted, and what came last.
    CREATE VIEW leases AS
    SELECT g.tenant, g.shard, g.account, g.lease, g.holder, g.on_lapse, g.recorded_at AS granted_at,
           l.change, l.recorded_at AS changed_at, h.state = 0 AS open, h.asset, h.captured,
           CASE WHEN h.state = 0 THEN h.amount - h.captured ELSE 0 END AS in_escrow, h.expires_at
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
