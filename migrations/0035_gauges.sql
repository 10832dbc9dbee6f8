-- Gauges in the read models (rules T1, T2): what was reported of each, taken back and charged. They
-- are derived: the tables that stand go, and the projector fills the new ones from the journal.
ALTER FUNCTION ledger.create_projection(text) RENAME TO create_projection_without_gauges;

CREATE FUNCTION ledger.create_projection(name text) RETURNS void LANGUAGE plpgsql AS $create$
DECLARE
    before text := current_setting('search_path');
BEGIN
    PERFORM ledger.create_projection_without_gauges(name);
    PERFORM set_config('search_path', format('%I', name), true);

    -- One row a report, and one for what takes it back or charges its scope.
    CREATE TABLE gauge_entries (
        tenant         int      NOT NULL,
        shard          int      NOT NULL,
        entry_seq      bigint   NOT NULL,
        account        bigint   NOT NULL,
        change         smallint NOT NULL,            -- 1 reported, 2 taken back, 3 charged
        gauge          bigint   NOT NULL,
        scope_start    bigint   NOT NULL,
        scope_end      bigint   NOT NULL,
        plan           uuid,                         -- NULL where a report is taken back
        effective_at   bigint,
        quantities     bigint[] NOT NULL,            -- reported or charged; {} where taken back
        level          bigint[] NOT NULL,            -- by then; {} = no report is left
        original_entry bigint,                       -- the report that is taken back
        recorded_at    bigint   NOT NULL,
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE INDEX gauge_entries_account
        ON gauge_entries (tenant, account, gauge, scope_start, scope_end, entry_seq);

    -- What each gauge shows, or was charged as, in each scope: the newest of its entries.
    CREATE VIEW gauges AS
    SELECT DISTINCT ON (tenant, shard, account, gauge, scope_start, scope_end)
           tenant, shard, account, gauge, scope_start, scope_end, change = 3 AS charged, level,
           entry_seq
    FROM gauge_entries
    ORDER BY tenant, shard, account, gauge, scope_start, scope_end, entry_seq DESC;

    PERFORM set_config('search_path', before, true);
    PERFORM ledger.grant_projection(name);
END $create$;
REVOKE EXECUTE ON FUNCTION ledger.create_projection(text) FROM PUBLIC;

DROP SCHEMA IF EXISTS projection CASCADE;
SELECT ledger.create_projection('projection');
