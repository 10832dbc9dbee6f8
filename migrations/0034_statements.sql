-- Statements stand in the read models (rule T2). No journal from before holds one.

CREATE FUNCTION ledger.create_statements(name text) RETURNS void LANGUAGE plpgsql AS $create$
DECLARE
    before text := current_setting('search_path');
BEGIN
    PERFORM set_config('search_path', format('%I', name), true);

    -- What is asked for of an account's statements, and what became of each, entry by entry (T2).
    CREATE TABLE statement_entries (
        tenant        int      NOT NULL,
        shard         int      NOT NULL,
        entry_seq     bigint   NOT NULL,
        account       bigint   NOT NULL,
        change        smallint NOT NULL,     -- 1 asked for, 2 ended, 3 closed
        statement     bigint,                -- its number; NULL where it is asked for
        version       bigint,                -- of what is asked for
        form          smallint,              -- core's StatementForm
        attribute     text,
        period_start  bigint,
        period_end    bigint,
        first_entry   bigint,                -- what it covers
        last_entry    bigint,
        batch_seq     bigint,                -- that ended it; and the chain's hash there
        head          bytea,
        hash          bytea,
        recorded_at   bigint   NOT NULL,
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE INDEX statement_entries_account ON statement_entries (tenant, account, entry_seq);

    -- Statements as they are: ended by an entry, closed by another one (NULL = not yet).
    CREATE VIEW statements AS
    SELECT e.tenant, e.shard, e.account, e.statement, e.form, e.attribute, e.period_start,
           e.period_end, e.entry_seq AS ended_by, e.recorded_at AS ended_at,
           c.entry_seq AS closed_by, c.recorded_at AS closed_at, c.first_entry, c.last_entry,
           c.batch_seq, c.head, c.hash
    FROM statement_entries e
    LEFT JOIN statement_entries c
        ON c.tenant = e.tenant AND c.account = e.account AND c.shard = e.shard
       AND c.change = 3 AND c.statement = e.statement
    WHERE e.change = 2;

    -- Of those, what has ended and is not closed.
    CREATE TABLE statements_to_close (
        tenant        int      NOT NULL,
        shard         int      NOT NULL,
        account       bigint   NOT NULL,
        statement     bigint   NOT NULL,
        ended_by      bigint   NOT NULL,
        PRIMARY KEY (tenant, shard, account, statement)
    );

    -- What accounts owe in money.
    CREATE INDEX books_of_payers ON books (tenant, owner) WHERE kind IN (13, 14);

    PERFORM set_config('search_path', before, true);
END $create$;

ALTER FUNCTION ledger.create_projection(text) RENAME TO create_projection_before_statements;

CREATE FUNCTION ledger.create_projection(name text) RETURNS void LANGUAGE plpgsql AS $create$
BEGIN
    PERFORM ledger.create_projection_before_statements(name);
    PERFORM ledger.create_statements(name);
    PERFORM ledger.grant_projection(name);
END $create$;
REVOKE EXECUTE ON FUNCTION ledger.create_projection(text), ledger.create_statements(text) FROM PUBLIC;

SELECT ledger.create_statements('projection');
SELECT ledger.grant_projection('projection');
