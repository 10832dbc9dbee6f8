-- Mandates of agents in the read models (rules H4, F1): what was granted and revoked, spent and bought.
-- They are derived: the tables that stand go, and the projector fills the new ones from the journal.
ALTER FUNCTION ledger.create_projection(text) RENAME TO create_projection_without_mandates;

CREATE FUNCTION ledger.create_projection(name text) RETURNS void LANGUAGE plpgsql AS $create$
DECLARE
    before text := current_setting('search_path');
BEGIN
    PERFORM ledger.create_projection_without_mandates(name);
    PERFORM set_config('search_path', format('%I', name), true);

    -- One row an entry of a mandate. What is spent of it stands with its budget.
    CREATE TABLE mandate_entries (
        tenant         int      NOT NULL,
        shard          int      NOT NULL,
        entry_seq      bigint   NOT NULL,
        account        bigint   NOT NULL,            -- the agent's
        change         smallint NOT NULL,            -- 1 granted, 2 revoked
        asset          bigint,                       -- of one that is granted, and so on
        budget         bigint,
        terms          jsonb,                        -- products, attributes, price, end, purchases
        purchase_limit bigint,                       -- money, NULL = it buys nothing
        price_asset    bigint,
        reason         text,                         -- of one that is revoked
        recorded_at    bigint   NOT NULL,
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE INDEX mandate_entries_account ON mandate_entries (tenant, account, entry_seq);

    -- Top-ups that agents requested; `grant_number` waits for its payment, or did.
    CREATE TABLE mandate_purchases (
        tenant         int      NOT NULL,
        shard          int      NOT NULL,
        entry_seq      bigint   NOT NULL,
        account        bigint   NOT NULL,            -- the agent's
        payer          bigint   NOT NULL,
        grant_number   bigint   NOT NULL,
        asset          bigint   NOT NULL,
        amount         bigint   NOT NULL,
        price_paid     bigint   NOT NULL,
        price_asset    bigint   NOT NULL,
        counted        bigint[] NOT NULL,            -- accounts whose mandates count it
        recorded_at    bigint   NOT NULL,
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE INDEX mandate_purchases_grant ON mandate_purchases (tenant, shard, grant_number);
    CREATE INDEX mandate_purchases_counted ON mandate_purchases USING gin (counted);

    -- What was never paid of grants that waited for their payment.
    CREATE TABLE unpaid_grants (
        tenant         int      NOT NULL,
        shard          int      NOT NULL,
        entry_seq      bigint   NOT NULL,
        account        bigint   NOT NULL,
        grant_number   bigint   NOT NULL,
        amount         bigint   NOT NULL,
        unpaid         bigint   NOT NULL,            -- its share of the price
        recorded_at    bigint   NOT NULL,
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE INDEX unpaid_grants_grant ON unpaid_grants (tenant, shard, grant_number);

    -- Each mandate: what it allows, what is spent of it and held, and what was bought, less what was
    -- never paid.
    CREATE VIEW mandates AS
    SELECT g.tenant, g.shard, g.account, g.asset, g.budget, g.terms, g.recorded_at AS granted_at,
           r.recorded_at AS revoked_at, r.reason, coalesce(s.spent, 0) AS spent,
           coalesce(s.held, 0) AS held, g.purchase_limit, g.price_asset,
           coalesce(b.purchased, 0) AS purchased
    FROM mandate_entries g
    LEFT JOIN mandate_entries r ON r.tenant = g.tenant AND r.account = g.account AND r.change = 2
    LEFT JOIN LATERAL (
        SELECT sum(w.posted) AS spent, sum(w.pending) AS held
        FROM budgets t
        JOIN budget_windows w ON w.tenant = t.tenant AND w.shard = t.shard AND w.number = t.number
        WHERE t.tenant = g.tenant AND t.account = g.account AND t.name = 'mandate'
    ) s ON true
    LEFT JOIN LATERAL (
        SELECT sum(p.price_paid - coalesce(u.unpaid, 0)) AS purchased
        FROM mandate_purchases p
        LEFT JOIN unpaid_grants u
          ON u.tenant = p.tenant AND u.shard = p.shard AND u.grant_number = p.grant_number
        WHERE p.tenant = g.tenant AND p.shard = g.shard AND p.counted @> ARRAY[g.account]
    ) b ON true
    WHERE g.change = 1;

    PERFORM set_config('search_path', before, true);
    PERFORM ledger.grant_projection(name);
END $create$;
REVOKE EXECUTE ON FUNCTION ledger.create_projection(text) FROM PUBLIC;

DROP SCHEMA IF EXISTS projection CASCADE;
SELECT ledger.create_projection('projection');
