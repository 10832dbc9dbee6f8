-- What usage drew, by account, book and hour: what forecasts look back on. It is derived: the tables
-- that stand go, and the projector fills the new ones from the journal.
ALTER FUNCTION ledger.create_projection(text) RENAME TO create_projection_without_usage_hours;

CREATE FUNCTION ledger.create_projection(name text) RETURNS void LANGUAGE plpgsql AS $create$
DECLARE
    before text := current_setting('search_path');
BEGIN
    PERFORM ledger.create_projection_without_usage_hours(name);
    PERFORM set_config('search_path', format('%I', name), true);

    -- Draws of usage less what was given back of usage, by the hour in which it was effective.
    CREATE TABLE usage_hours (
        tenant   int     NOT NULL,
        shard    int     NOT NULL,
        account  bigint  NOT NULL,           -- whose usage it was
        book     bigint  NOT NULL,           -- that paid: of a grant, an advance, overage, a conversion
        hour     bigint  NOT NULL,           -- its first microsecond
        amount   numeric NOT NULL,           -- below 0 where more was given back than drawn
        PRIMARY KEY (tenant, account, hour, shard, book)
    );
    CREATE INDEX usage_hours_book ON usage_hours (tenant, shard, book, hour);

    PERFORM set_config('search_path', before, true);
    PERFORM ledger.grant_projection(name);
END $create$;
REVOKE EXECUTE ON FUNCTION ledger.create_projection(text) FROM PUBLIC;

DROP SCHEMA IF EXISTS projection CASCADE;
SELECT ledger.create_projection('projection');
