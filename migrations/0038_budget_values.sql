-- Budgets that count each value of some attributes by itself, in the read models (rule H5): the counter
-- of each value is a number of its own in budget_windows and budget_crossings.

ALTER FUNCTION ledger.create_projection(text) RENAME TO create_projection_without_budget_values;

CREATE FUNCTION ledger.create_projection(name text) RETURNS void LANGUAGE plpgsql AS $create$
DECLARE
    before text := current_setting('search_path');
BEGIN
    PERFORM ledger.create_projection_without_budget_values(name);
    PERFORM set_config('search_path', format('%I', name), true);

    -- Which value of which budget a counter is of, and while it is kept. An empty array: those that
    -- are more than may have one, together.
    CREATE TABLE budget_values (
        tenant        int     NOT NULL,
        shard         int     NOT NULL,
        number        bigint  NOT NULL,              -- of the counter
        account       bigint  NOT NULL,              -- of the budget
        budget        bigint  NOT NULL,
        value         text[]  NOT NULL,              -- of each attribute; '' = usage lacks it
        opened_at     bigint  NOT NULL,
        closed_at     bigint,                        -- NULL = it is kept
        PRIMARY KEY (tenant, shard, number)
    );
    CREATE INDEX budget_values_budget ON budget_values (tenant, shard, budget, value)
        WHERE closed_at IS NULL;

    -- Of which budget, and of which value of it; NULL = the budget counts all together.
    ALTER TABLE budget_crossings ADD COLUMN budget bigint, ADD COLUMN value text[];
    CREATE INDEX budget_crossings_entry ON budget_crossings (shard, entry_seq);

    PERFORM set_config('search_path', before, true);
    PERFORM ledger.grant_projection(name);
END $create$;

REVOKE EXECUTE ON FUNCTION ledger.create_projection(text) FROM PUBLIC;

DROP SCHEMA IF EXISTS projection CASCADE;
SELECT ledger.create_projection('projection');
