-- What providers take for usage (rule B4), and operations: the fan-out of one user action. No journal
-- from before holds a cost, so the read models in use get their tables empty; they know no operations
-- of usage before, until `drawdown rebuild`.

CREATE FUNCTION ledger.create_costs(name text) RETURNS void LANGUAGE plpgsql AS $create$
DECLARE
    before text := current_setting('search_path');
BEGIN
    PERFORM set_config('search_path', format('%I', name), true);

    -- What the provider takes for a usage event. Its transfer is a line of the same entry.
    CREATE TABLE usage_costs (
        tenant       int      NOT NULL,
        shard        int      NOT NULL,
        entry_seq    bigint   NOT NULL,              -- of the usage
        account      bigint   NOT NULL,
        plan         uuid     NOT NULL,              -- of the cost card
        asset        bigint   NOT NULL,
        cost         bigint   NOT NULL CHECK (cost >= 0),  -- sum of the lines that are known
        lines        bigint[] NOT NULL,              -- parallel to the quantities; NULL = not known
        given_back   numeric  NOT NULL DEFAULT 0 CHECK (given_back >= 0),  -- taken less since
        PRIMARY KEY (tenant, shard, entry_seq)
    );

    -- Usage that belongs to an operation: the digests of it and of its parent, which outlive names.
    CREATE TABLE usage_operations (
        tenant       int      NOT NULL,
        shard        int      NOT NULL,
        entry_seq    bigint   NOT NULL,
        account      bigint   NOT NULL,
        operation    bytea    NOT NULL,
        parent       bytea,
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE INDEX usage_operations_of ON usage_operations (tenant, operation);
    CREATE INDEX usage_operations_parent ON usage_operations (tenant, parent) WHERE parent IS NOT NULL;

    -- Entries that follow usage and belong to it: what rated it after it had waited, re-rates that it
    -- caused, its conversion, and what of that went back.
    CREATE TABLE usage_follow_ups (
        tenant          int      NOT NULL,
        shard           int      NOT NULL,
        entry_seq       bigint   NOT NULL,
        original_entry  bigint   NOT NULL,           -- the usage
        rerated         boolean  NOT NULL,
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE INDEX usage_follow_ups_of ON usage_follow_ups (tenant, shard, original_entry);

    -- Money that a grant recognised as it repaid an advance, by the product it was drawn for (B4).
    CREATE TABLE backfilled (
        tenant       int      NOT NULL,
        shard        int      NOT NULL,
        entry_seq    bigint   NOT NULL,
        line         int      NOT NULL,
        account      bigint   NOT NULL,
        product      text     NOT NULL,
        asset        bigint   NOT NULL,              -- the money
        value        bigint   NOT NULL CHECK (value > 0),
        recorded_at  bigint   NOT NULL,
        PRIMARY KEY (tenant, shard, entry_seq, line)
    );

    -- Reports ask for a span of time; rows come about in its order.
    CREATE INDEX usage_events_effective ON usage_events USING brin (effective_at)
        WITH (autosummarize = on);

    -- What entries of usage burnt (kind 1, units), earned (2) and cost (3, money), and what of the burnt
    -- units was drawn in advance (4), by asset, what reversals of them gave back since taken off.
    CREATE VIEW usage_figures AS
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

ALTER FUNCTION ledger.create_projection(text) RENAME TO create_projection_before_costs;

CREATE FUNCTION ledger.create_projection(name text) RETURNS void LANGUAGE plpgsql AS $create$
BEGIN
    PERFORM ledger.create_projection_before_costs(name);
    PERFORM ledger.create_costs(name);
    PERFORM ledger.grant_projection(name);
END $create$;
REVOKE EXECUTE ON FUNCTION ledger.create_projection(text), ledger.create_costs(text) FROM PUBLIC;

SELECT ledger.create_costs('projection');
SELECT ledger.grant_projection('projection');
