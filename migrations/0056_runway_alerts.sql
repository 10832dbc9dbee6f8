-- Runway alerts in the read models: their rules, and each crossing that was told. They are derived:
-- the tables that stand go, and the projector fills the new ones from the journal.
ALTER FUNCTION ledger.create_projection(text) RENAME TO create_projection_without_runways;

CREATE FUNCTION ledger.create_projection(name text) RETURNS void LANGUAGE plpgsql AS $create$
DECLARE
    before text := current_setting('search_path');
BEGIN
    PERFORM ledger.create_projection_without_runways(name);
    PERFORM set_config('search_path', format('%I', name), true);

    -- One row a change of a rule.
    CREATE TABLE runway_rules (
        tenant        int     NOT NULL,
        shard         int     NOT NULL,
        entry_seq     bigint  NOT NULL,
        account       bigint  NOT NULL,
        asset         bigint  NOT NULL,
        version       bigint,                        -- NULL = it was removed, as are its hours
        hours         int,
        rearm_hours   int,
        recorded_at   bigint  NOT NULL,
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE INDEX runway_rules_account ON runway_rules (shard, account, asset, entry_seq);

    -- One row a crossing: an alert, or that the balance lasts again.
    CREATE TABLE runway_crossings (
        tenant        int     NOT NULL,
        shard         int     NOT NULL,
        entry_seq     bigint  NOT NULL,
        account       bigint  NOT NULL,
        asset         bigint  NOT NULL,
        version       bigint  NOT NULL,              -- of the rule
        crossing      bigint  NOT NULL,              -- of the version, from 1
        short         boolean NOT NULL,              -- the balance may not last; false = it does again
        as_of         bigint  NOT NULL,              -- when it was foretold
        empty_at      bigint,                        -- in one future of ten; NULL = not within the hours
        available     numeric NOT NULL,
        needed        numeric NOT NULL,              -- by nine futures of ten, in the hours looked at
        recorded_at   bigint  NOT NULL,
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE INDEX runway_crossings_account ON runway_crossings (tenant, account, recorded_at);

    -- The rules in force, and what was told last by each.
    CREATE VIEW runway_alerts AS
    SELECT r.tenant, r.shard, r.account, r.asset, r.version, r.hours, r.rearm_hours,
           coalesce(c.short, false) AS short, coalesce(c.crossing, 0) AS crossings,
           c.recorded_at AS crossed_at, c.empty_at, c.available, c.needed
    FROM (
        SELECT DISTINCT ON (shard, account, asset) *
        FROM runway_rules ORDER BY shard, account, asset, entry_seq DESC
    ) r
    LEFT JOIN LATERAL (
        SELECT * FROM runway_crossings x
        WHERE x.tenant = r.tenant AND x.account = r.account AND x.asset = r.asset
          AND x.version = r.version
        ORDER BY x.crossing DESC LIMIT 1
    ) c ON true
    WHERE r.version IS NOT NULL;

    PERFORM set_config('search_path', before, true);
    PERFORM ledger.grant_projection(name);
END $create$;
REVOKE EXECUTE ON FUNCTION ledger.create_projection(text) FROM PUBLIC;

DROP SCHEMA IF EXISTS projection CASCADE;
SELECT ledger.create_projection('projection');
