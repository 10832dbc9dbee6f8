-- Budgets in the read models (rules H4, H5): what was set, what counts in which window, and which
-- thresholds were reached. They are derived: the tables that stand go, and the projector fills the
-- new ones from the journal.
ALTER FUNCTION ledger.create_projection(text) RENAME TO create_projection_without_budgets;

CREATE FUNCTION ledger.create_projection(name text) RETURNS void LANGUAGE plpgsql AS $create$
DECLARE
    before text := current_setting('search_path');
BEGIN
    PERFORM ledger.create_projection_without_budgets(name);
    PERFORM set_config('search_path', format('%I', name), true);

    -- Each version of a budget; the newest row of a number is the one in force.
    CREATE TABLE budgets (
        tenant        int     NOT NULL,
        shard         int     NOT NULL,
        entry_seq     bigint  NOT NULL,
        account       bigint  NOT NULL,
        number        bigint  NOT NULL,
        name          text    NOT NULL,
        version       bigint,                        -- NULL = it was removed, as are its terms
        terms         jsonb,
        recorded_at   bigint  NOT NULL,
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE INDEX budgets_account ON budgets (tenant, account, number, entry_seq);

    -- What a budget has counted in a window, or in a bucket of a sliding one: [since, until).
    -- (0, 0) is what came so late that it counts only in the lifetime.
    CREATE TABLE budget_windows (
        tenant        int     NOT NULL,
        shard         int     NOT NULL,
        number        bigint  NOT NULL,
        since         bigint  NOT NULL,
        until         bigint  NOT NULL,
        posted        numeric NOT NULL,
        pending       numeric NOT NULL,              -- of holds
        PRIMARY KEY (tenant, shard, number, since, until)
    ) WITH (fillfactor = 80);

    -- Thresholds that were reached: each once a window.
    CREATE TABLE budget_crossings (
        tenant        int     NOT NULL,
        shard         int     NOT NULL,
        entry_seq     bigint  NOT NULL,
        account       bigint  NOT NULL,              -- of the budget
        number        bigint  NOT NULL,
        threshold     int     NOT NULL,              -- percent of the limit
        used          numeric NOT NULL,
        most          bigint  NOT NULL,              -- the limit then
        recorded_at   bigint  NOT NULL,
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE INDEX budget_crossings_account ON budget_crossings (tenant, account, recorded_at);

    PERFORM set_config('search_path', before, true);
    PERFORM ledger.grant_projection(name);
END $create$;

DROP SCHEMA IF EXISTS projection CASCADE;
SELECT ledger.create_projection('projection');
