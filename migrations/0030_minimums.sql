-- Minimums in the read models (rule R2): what each asked for at the end of a period, and of whom. So
-- that every transfer on a book of overage has an account whose usage it was (rule H8). They are
-- derived: the tables that stand go, and the projector fills the new ones from the journal.
ALTER FUNCTION ledger.create_projection(text) RENAME TO create_projection_without_minimums;

CREATE FUNCTION ledger.create_projection(name text) RETURNS void LANGUAGE plpgsql AS $create$
DECLARE
    before text := current_setting('search_path');
BEGIN
    PERFORM ledger.create_projection_without_minimums(name);
    PERFORM set_config('search_path', format('%I', name), true);

    -- One row a minimum and period, met or not; its transfers draw what was short.
    CREATE TABLE minimums (
        tenant        int      NOT NULL,
        shard         int      NOT NULL,
        entry_seq     bigint   NOT NULL,
        account       bigint   NOT NULL,
        rate_card     text     NOT NULL,
        card_version  bigint   NOT NULL,
        scope         smallint NOT NULL,             -- 1 line, 2 product, 3 account
        product       text     NOT NULL,
        quantity_name text     NOT NULL,
        asset         bigint   NOT NULL,
        period_start  bigint   NOT NULL,
        period_end    bigint   NOT NULL,
        minimum       bigint   NOT NULL,             -- its share of the period
        charged       numeric  NOT NULL,             -- what usage was charged for its scope
        recorded_at   bigint   NOT NULL,
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE INDEX minimums_account ON minimums (tenant, account, period_start);

    -- Draws on books of overage, and what of them was given back (below 0): whose usage it was, and
    -- who is billed.
    CREATE VIEW overage_draws AS
    SELECT d.tenant, d.shard, d.entry_seq, d.payer, d.asset, d.amount, d.effective_at, d.recorded_at,
           coalesce(u.account, o.account, r.account, m.account, a.account) AS account
    FROM (
        SELECT b.tenant, b.shard, t.entry_seq, b.owner AS payer, b.asset, t.amount, t.effective_at,
               t.recorded_at
        FROM books b
        JOIN transfers t ON t.tenant = b.tenant AND t.shard = b.shard AND t.debit_book = b.book
                        AND t.phase = 2
        JOIN books w ON w.tenant = t.tenant AND w.shard = t.shard AND w.book = t.credit_book
                    AND w.kind IN (6, 19)
        WHERE b.kind = 3
        UNION ALL
        SELECT b.tenant, b.shard, t.entry_seq, b.owner, b.asset, -t.amount, t.effective_at,
               t.recorded_at
        FROM books b
        JOIN transfers t ON t.tenant = b.tenant AND t.shard = b.shard AND t.credit_book = b.book
                        AND t.phase = 2 AND t.pot = 0
        JOIN books w ON w.tenant = t.tenant AND w.shard = t.shard AND w.book = t.debit_book
                    AND w.kind IN (6, 19)
        WHERE b.kind = 3
    ) d
    LEFT JOIN usage_events u ON u.tenant = d.tenant AND u.shard = d.shard
                            AND u.entry_seq = d.entry_seq
    LEFT JOIN usage_follow_ups f ON f.tenant = d.tenant AND f.shard = d.shard
                                AND f.entry_seq = d.entry_seq
    LEFT JOIN usage_events o ON o.tenant = f.tenant AND o.shard = f.shard
                            AND o.entry_seq = f.original_entry
    LEFT JOIN reversals r ON r.tenant = d.tenant AND r.shard = d.shard
                         AND r.entry_seq = d.entry_seq
    LEFT JOIN minimums m ON m.tenant = d.tenant AND m.shard = d.shard
                        AND m.entry_seq = d.entry_seq
    LEFT JOIN manual_adjustments a ON a.tenant = d.tenant AND a.shard = d.shard
                                  AND a.entry_seq = d.entry_seq;

    PERFORM set_config('search_path', before, true);
    PERFORM ledger.grant_projection(name);
END $create$;
REVOKE EXECUTE ON FUNCTION ledger.create_projection(text) FROM PUBLIC;

DROP SCHEMA IF EXISTS projection CASCADE;
SELECT ledger.create_projection('projection');
