-- Re-rates of accounts that share a total with another, whose usage took it over a boundary (rules R1,
-- D8), stand in the read models. No journal from before holds one.

CREATE FUNCTION ledger.create_shared_rerates(name text) RETURNS void LANGUAGE plpgsql AS $create$
DECLARE
    before text := current_setting('search_path');
BEGIN
    PERFORM set_config('search_path', format('%I', name), true);

    CREATE TABLE shared_rerates (
        tenant       int    NOT NULL,
        shard        int    NOT NULL,
        entry_seq    bigint NOT NULL,
        account      bigint NOT NULL,
        plan         uuid   NOT NULL,        -- of the usage that it follows from
        asset        bigint NOT NULL,
        amount       bigint NOT NULL,        -- drawn more; below 0 = given back
        cause_entry  bigint NOT NULL,        -- usage or a reversal, of another account
        effective_at bigint NOT NULL,        -- that of the usage
        recorded_at  bigint NOT NULL,
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE INDEX shared_rerates_account ON shared_rerates (tenant, account, effective_at);
    CREATE INDEX shared_rerates_cause ON shared_rerates (tenant, shard, cause_entry);

    -- They are drawn on books of overage too, or given back: of the account that is charged.
    CREATE OR REPLACE VIEW overage_draws AS
    SELECT d.tenant, d.shard, d.entry_seq, d.payer, d.asset, d.amount, d.effective_at, d.recorded_at,
           coalesce(u.account, o.account, r.account, m.account, a.account, l.account,
                    s.account) AS account
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
                                  AND a.entry_seq = d.entry_seq
    LEFT JOIN fee_lines l ON l.tenant = d.tenant AND l.shard = d.shard
                         AND l.entry_seq = d.entry_seq
    LEFT JOIN shared_rerates s ON s.tenant = d.tenant AND s.shard = d.shard
                              AND s.entry_seq = d.entry_seq;

    -- What they charge, or charge less, is a figure of their own.
    CREATE OR REPLACE VIEW usage_figures AS
    SELECT u.tenant, u.shard, u.entry_seq, 1 AS kind, u.asset, u.charge - u.reversed AS amount
    FROM usage_events u WHERE u.charge > 0
    UNION ALL
    SELECT f.tenant, f.shard, f.entry_seq, 1, t.asset, t.amount
    FROM usage_follow_ups f JOIN transfers t ON t.tenant = f.tenant AND t.shard = f.shard
                                            AND t.entry_seq = f.entry_seq AND t.pot > 0
    WHERE f.rerated
    UNION ALL
    SELECT f.tenant, f.shard, f.entry_seq, 1, t.asset, -t.amount
    FROM usage_follow_ups f JOIN transfers t ON t.tenant = f.tenant AND t.shard = f.shard
                                            AND t.entry_seq = f.entry_seq AND t.pot = 0
    JOIN books b ON b.tenant = t.tenant AND b.shard = t.shard AND b.book = t.debit_book
                AND b.kind = 6
    WHERE f.rerated
    UNION ALL
    SELECT s.tenant, s.shard, s.entry_seq, 1, s.asset, s.amount
    FROM shared_rerates s WHERE s.amount <> 0
    UNION ALL
    SELECT t.tenant, t.shard, t.entry_seq, 2, t.asset, -t.amount
    FROM transfers t JOIN books b ON b.tenant = t.tenant AND b.shard = t.shard
                                 AND b.book = t.debit_book AND b.kind = 15
    WHERE t.phase = 2 AND t.pot = 0
    UNION ALL
    SELECT t.tenant, t.shard, t.entry_seq, 4, t.asset, -t.amount
    FROM transfers t JOIN books b ON b.tenant = t.tenant AND b.shard = t.shard
                                 AND b.book = t.credit_book AND b.kind = 2
    WHERE t.phase = 2 AND t.pot = 0
    UNION ALL
    SELECT t.tenant, t.shard, t.entry_seq, 2, t.asset, t.amount
    FROM transfers t JOIN books b ON b.tenant = t.tenant AND b.shard = t.shard
                                 AND b.book = t.credit_book AND b.kind = 15
    WHERE t.phase = 2 AND t.pot = 0
    UNION ALL
    SELECT r.tenant, r.shard, r.original_entry, 2, t.asset, -t.amount
    FROM reversals r JOIN transfers t ON t.tenant = r.tenant AND t.shard = r.shard
                                     AND t.entry_seq = r.entry_seq AND t.phase = 2
    JOIN books b ON b.tenant = t.tenant AND b.shard = t.shard AND b.book = t.debit_book
                AND b.kind = 15
    UNION ALL
    SELECT c.tenant, c.shard, c.entry_seq, 3, c.asset, c.cost - c.given_back FROM usage_costs c
    UNION ALL
    SELECT t.tenant, t.shard, t.entry_seq, 4, t.asset, t.amount
    FROM transfers t WHERE t.phase = 2 AND t.pot IN (2, 4)
    UNION ALL
    SELECT r.tenant, r.shard, r.original_entry, 4, t.asset, -t.amount
    FROM reversals r JOIN transfers t ON t.tenant = r.tenant AND t.shard = r.shard
                                     AND t.entry_seq = r.entry_seq AND t.phase = 2
    JOIN books b ON b.tenant = t.tenant AND b.shard = t.shard AND b.book = t.credit_book
                AND b.kind = 2;

    PERFORM set_config('search_path', before, true);
END $create$;

ALTER FUNCTION ledger.create_projection(text) RENAME TO create_projection_before_shared_rerates;

CREATE FUNCTION ledger.create_projection(name text) RETURNS void LANGUAGE plpgsql AS $create$
BEGIN
    PERFORM ledger.create_projection_before_shared_rerates(name);
    PERFORM ledger.create_shared_rerates(name);
    PERFORM ledger.grant_projection(name);
END $create$;
REVOKE EXECUTE ON FUNCTION ledger.create_projection(text), ledger.create_shared_rerates(text)
    FROM PUBLIC;

SELECT ledger.create_shared_rerates('projection');
SELECT ledger.grant_projection('projection');
