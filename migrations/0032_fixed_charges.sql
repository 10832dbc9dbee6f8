-- Fixed charges and their fees stand in the read models. No journal from before holds one.

CREATE FUNCTION ledger.create_fixed_charges(name text) RETURNS void LANGUAGE plpgsql AS $create$
DECLARE
    before text := current_setting('search_path');
BEGIN
    PERFORM set_config('search_path', format('%I', name), true);

    -- What became of a fixed charge, entry by entry (rules T1, S1).
    CREATE TABLE charge_entries (
        tenant        int      NOT NULL,
        shard         int      NOT NULL,
        entry_seq     bigint   NOT NULL,
        account       bigint   NOT NULL,
        charge        bigint   NOT NULL,
        change        smallint NOT NULL,     -- 1 started, 2 period, 3 quantity now, 4 quantity to
                                             -- come, 5 terms to come, 6 ended now, 7 to end
        name          text,                  -- as it starts
        version       bigint,                -- NULL where it stays
        quantity      bigint,                -- NULL where it stays
        terms         jsonb,                 -- as it starts, and those to come
        period        bigint,                -- number of the period that begins, from 1
        period_start  bigint,
        period_end    bigint,
        ends_at       bigint,
        recorded_at   bigint   NOT NULL,
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE INDEX charge_entries_account ON charge_entries (tenant, account, charge, entry_seq);

    -- Fees, line by line: of each period what it costs, and what a change of it costs more or less.
    -- Those of a period add up to the last one's `total`.
    CREATE TABLE fee_lines (
        tenant        int      NOT NULL,
        shard         int      NOT NULL,
        entry_seq     bigint   NOT NULL,
        account       bigint   NOT NULL,
        charge        bigint   NOT NULL,
        product       text     NOT NULL,
        asset         bigint   NOT NULL,
        period        bigint   NOT NULL,     -- number of the period of the charge, from 1
        period_start  bigint   NOT NULL,     -- what the line is for: [start, end)
        period_end    bigint   NOT NULL,
        quantity      bigint   NOT NULL,
        amount        bigint   NOT NULL,     -- below 0 = given back
        total         bigint   NOT NULL,     -- what the period costs by now
        kept          bigint   NOT NULL,     -- of a line below 0: given back by hand before
        effective_at  bigint   NOT NULL,
        recorded_at   bigint   NOT NULL,
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE INDEX fee_lines_account ON fee_lines (tenant, account, effective_at);
    CREATE INDEX fee_lines_charge ON fee_lines (tenant, charge, period);

    -- The charges as they are: the last period and quantity of each, and when it ends.
    CREATE VIEW fixed_charges AS
    SELECT s.tenant, s.shard, s.charge, s.account, s.name, q.quantity, p.period, p.period_start,
           p.period_end, e.ends_at, s.entry_seq
    FROM charge_entries s
    JOIN LATERAL (
        SELECT quantity FROM charge_entries
        WHERE tenant = s.tenant AND account = s.account AND charge = s.charge
          AND change IN (1, 2, 3) ORDER BY entry_seq DESC LIMIT 1
    ) q ON true
    LEFT JOIN LATERAL (
        SELECT period, period_start, period_end FROM charge_entries
        WHERE tenant = s.tenant AND account = s.account AND charge = s.charge AND change = 2
        ORDER BY entry_seq DESC LIMIT 1
    ) p ON true
    JOIN LATERAL (
        SELECT ends_at FROM charge_entries
        WHERE tenant = s.tenant AND account = s.account AND charge = s.charge
          AND change IN (1, 6, 7)
        ORDER BY entry_seq DESC LIMIT 1
    ) e ON true
    WHERE s.change = 1;

    -- Fees are drawn on books of overage too: of the account that is charged.
    CREATE OR REPLACE VIEW overage_draws AS
    SELECT d.tenant, d.shard, d.entry_seq, d.payer, d.asset, d.amount, d.effective_at, d.recorded_at,
           coalesce(u.account, o.account, r.account, m.account, a.account, l.account) AS account
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
                         AND l.entry_seq = d.entry_seq;

    PERFORM set_config('search_path', before, true);
END $create$;

ALTER FUNCTION ledger.create_projection(text) RENAME TO create_projection_before_fixed_charges;

CREATE FUNCTION ledger.create_projection(name text) RETURNS void LANGUAGE plpgsql AS $create$
BEGIN
    PERFORM ledger.create_projection_before_fixed_charges(name);
    PERFORM ledger.create_fixed_charges(name);
    PERFORM ledger.grant_projection(name);
END $create$;
REVOKE EXECUTE ON FUNCTION ledger.create_projection(text), ledger.create_fixed_charges(text)
    FROM PUBLIC;

SELECT ledger.create_fixed_charges('projection');
SELECT ledger.grant_projection('projection');
