-- Suspense in the read models (rule B8): what waits for a price, and what rated it since. They are
-- derived: the tables that stand go, and the projector fills the new ones from the journal.
ALTER FUNCTION ledger.create_projection(text) RENAME TO create_projection_without_suspense;

CREATE FUNCTION ledger.create_projection(name text) RETURNS void LANGUAGE plpgsql AS $create$
DECLARE
    before text := current_setting('search_path');
BEGIN
    PERFORM ledger.create_projection_without_suspense(name);
    PERFORM set_config('search_path', format('%I', name), true);

    -- A rating of what waited is a row like the usage event's, without names; outcome 4.
    ALTER TABLE usage_events DROP CONSTRAINT usage_events_outcome_check;
    ALTER TABLE usage_events ADD CONSTRAINT usage_events_outcome_check
        CHECK (outcome IN (1, 2, 3, 4));
    DROP INDEX usage_events_waiting;

    -- Usage events of which something waits, as far as it is not reversed. Arrays stand parallel to
    -- the plan's quantity_names.
    CREATE TABLE waiting (
        tenant        int      NOT NULL,
        shard         int      NOT NULL,
        entry_seq     bigint   NOT NULL,             -- of the usage event
        account       bigint   NOT NULL,
        plan          uuid     NOT NULL,
        effective_at  bigint   NOT NULL,
        recorded_at   bigint   NOT NULL,             -- since when it waits
        quantities    bigint[] NOT NULL,             -- not reversed
        reasons       text[]   NOT NULL,             -- NULL element = does not wait
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE INDEX waiting_recorded ON waiting (tenant, recorded_at, shard, entry_seq);

    -- The entries that rated a usage event after it had waited.
    CREATE TABLE ratings (
        tenant          int    NOT NULL,
        shard           int    NOT NULL,
        original_entry  bigint NOT NULL,             -- the usage event
        entry_seq       bigint NOT NULL,             -- a row of usage_events
        PRIMARY KEY (tenant, shard, original_entry, entry_seq)
    );
    CREATE UNIQUE INDEX ratings_entry ON ratings (tenant, shard, entry_seq);

    -- Quantities that wait for a price (rule B8).
    DROP VIEW suspense;
    CREATE VIEW suspense AS
    SELECT w.tenant, w.shard, w.entry_seq, w.account, p.product, p.attributes,
           p.quantity_names[i] AS quantity_name, w.quantities[i] AS quantity,
           w.reasons[i] AS reason, w.effective_at, w.recorded_at
    FROM waiting w JOIN plans p USING (tenant, shard, plan), generate_subscripts(w.reasons, 1) i
    WHERE w.reasons[i] IS NOT NULL;

    PERFORM set_config('search_path', before, true);
    PERFORM ledger.grant_projection(name);
END $create$;

DROP SCHEMA IF EXISTS projection CASCADE;
SELECT ledger.create_projection('projection');
