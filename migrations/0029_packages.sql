-- Packages are published as other configuration is, and subscriptions stand in the read models. No
-- journal from before holds one.

ALTER TABLE ledger.configuration DROP CONSTRAINT configuration_kind_check;
ALTER TABLE ledger.configuration ADD CONSTRAINT configuration_kind_check
    CHECK (kind IN (1, 2, 3, 4, 5, 6, 7));
    -- 1 asset, 2 rate card, 3 clock, 4 alias of a rate card, 5 conversion, 6 meters, 7 package

CREATE FUNCTION ledger.create_packages(name text) RETURNS void LANGUAGE plpgsql AS $create$
DECLARE
    before text := current_setting('search_path');
BEGIN
    PERFORM set_config('search_path', format('%I', name), true);

    -- What became of the subscription of an account, entry by entry (rules P1, P3).
    CREATE TABLE subscription_entries (
        tenant        int      NOT NULL,
        shard         int      NOT NULL,
        entry_seq     bigint   NOT NULL,
        account       bigint   NOT NULL,
        change        smallint NOT NULL,     -- 1 subscribed, 2 changed now, 3 to change, 4 period,
                                             -- 5 cancelled now, 6 to be cancelled, 7 ended
        package       text,                  -- NULL where it is cancelled or ended
        version       bigint,                -- of the package; NULL where that is not said yet
        follow        smallint,              -- 1 the newest, 2 this one, 3 the newest after
        locked_until  bigint,
        period_start  bigint,
        period_end    bigint,
        ends_at       bigint,
        recorded_at   bigint   NOT NULL,
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE INDEX subscription_entries_account
        ON subscription_entries (tenant, account, entry_seq);
    CREATE INDEX subscription_entries_package
        ON subscription_entries (tenant, package, account) WHERE package IS NOT NULL;

    -- The subscriptions as they are: the last period of each, and whether it is over.
    CREATE VIEW subscriptions AS
    SELECT p.tenant, p.shard, p.account, p.package, p.version, p.period_start, p.period_end,
           l.change IN (5, 7) AS over, l.ends_at, l.entry_seq AS last_entry_seq
    FROM (
        SELECT DISTINCT ON (tenant, account) *
        FROM subscription_entries WHERE change IN (1, 2, 4)
        ORDER BY tenant, account, entry_seq DESC
    ) p JOIN (
        SELECT DISTINCT ON (tenant, account) *
        FROM subscription_entries ORDER BY tenant, account, entry_seq DESC
    ) l USING (tenant, account);

    PERFORM set_config('search_path', before, true);
END $create$;

ALTER FUNCTION ledger.create_projection(text) RENAME TO create_projection_before_packages;

CREATE FUNCTION ledger.create_projection(name text) RETURNS void LANGUAGE plpgsql AS $create$
BEGIN
    PERFORM ledger.create_projection_before_packages(name);
    PERFORM ledger.create_packages(name);
    PERFORM ledger.grant_projection(name);
END $create$;
REVOKE EXECUTE ON FUNCTION ledger.create_projection(text), ledger.create_packages(text) FROM PUBLIC;

SELECT ledger.create_packages('projection');
SELECT ledger.grant_projection('projection');
