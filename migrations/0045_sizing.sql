-- Right-sized holds in the read models: what holds asked for and got, and what was learned of usage.
-- They are derived: the tables that stand go, and the projector fills the new ones from the journal.
-- Sizing rules are published as configuration.
ALTER TABLE ledger.configuration DROP CONSTRAINT configuration_kind_check,
    ADD CONSTRAINT configuration_kind_check CHECK (kind BETWEEN 1 AND 8);

ALTER FUNCTION ledger.create_projection(text) RENAME TO create_projection_without_sizing;

CREATE FUNCTION ledger.create_projection(name text) RETURNS void LANGUAGE plpgsql AS $create$
DECLARE
    before text := current_setting('search_path');
BEGIN
    PERFORM ledger.create_projection_without_sizing(name);
    PERFORM set_config('search_path', format('%I', name), true);

    -- One row a hold and quantity that was learned, or was to be.
    CREATE TABLE hold_sizes (
        tenant        int      NOT NULL,
        shard         int      NOT NULL,
        hold          bigint   NOT NULL,
        account       bigint   NOT NULL,
        plan          uuid     NOT NULL,
        quantity      text     NOT NULL,
        asked         bigint   NOT NULL,
        held          bigint   NOT NULL,
        learned_of    smallint NOT NULL,             -- core's SizedBy
        permille      int      NOT NULL,
        observations  bigint   NOT NULL,
        value         bigint   NOT NULL,             -- the quantile; 0 where nothing was learned
        recorded_at   bigint   NOT NULL,
        PRIMARY KEY (tenant, shard, hold, quantity)
    );
    CREATE INDEX hold_sizes_time ON hold_sizes (tenant, recorded_at);

    -- How far usage of a product was learned from, told apart by these attributes. Not filled by the
    -- projector: whoever learns does, from the tables here; a row is the lock of that work.
    CREATE TABLE sizing_progress (
        tenant      int    NOT NULL,
        shard       int    NOT NULL,
        product     text   NOT NULL,
        attributes  text[] NOT NULL,
        entries     bigint NOT NULL,                 -- = the entry_seq that is looked at next
        PRIMARY KEY (tenant, shard, product, attributes)
    );

    -- Sketches of quantities: of one account (0 = all of the tenant's) with these values of the
    -- attributes (none = whatever they are), of what was recorded in one fortnight.
    CREATE TABLE sizing_sketches (
        tenant        int    NOT NULL,
        shard         int    NOT NULL,
        product       text   NOT NULL,
        attributes    text[] NOT NULL,
        attr_values   text[] NOT NULL,
        account       bigint NOT NULL,
        quantity      text   NOT NULL,
        fortnight     int    NOT NULL,
        observations  bigint NOT NULL,
        last_entry    bigint NOT NULL,
        sketch        bytea  NOT NULL,
        PRIMARY KEY (tenant, product, attributes, attr_values, account, quantity, fortnight, shard)
    );
    CREATE INDEX sizing_sketches_oldest ON sizing_sketches (tenant, shard, last_entry);

    PERFORM set_config('search_path', before, true);
    PERFORM ledger.grant_projection(name);
END $create$;
REVOKE EXECUTE ON FUNCTION ledger.create_projection(text) FROM PUBLIC;

DROP SCHEMA IF EXISTS projection CASCADE;
SELECT ledger.create_projection('projection');
