-- Accounts move within their family: the directory keeps under which parent one was opened, and the
-- read models where it stood before. No journal from before holds a move.

ALTER TABLE ledger.account_directory
    ADD COLUMN opened_under bigint,                   -- parent at its opening; NULL = it never moved
    ADD COLUMN place_version bigint NOT NULL DEFAULT 1;  -- of its place, as the journal counts

CREATE FUNCTION ledger.create_account_moves(name text) RETURNS void LANGUAGE plpgsql AS $create$
DECLARE
    before text := current_setting('search_path');
BEGIN
    PERFORM set_config('search_path', format('%I', name), true);

    -- The entry since which an account stands below its parent; 0 = it was opened there.
    ALTER TABLE accounts ADD COLUMN placed_seq bigint NOT NULL DEFAULT 0;
    CREATE INDEX accounts_parent ON accounts (tenant, parent, account) WHERE parent IS NOT NULL;

    -- Where accounts stood before, in entries from `since` on and before `entry_seq`.
    CREATE TABLE account_moves (
        tenant    int    NOT NULL,
        shard     int    NOT NULL,
        account   bigint NOT NULL,
        version   bigint NOT NULL,                    -- of the place that the move led to
        before    bigint NOT NULL,                    -- its parent until then
        since     bigint NOT NULL,
        parent    bigint NOT NULL,                    -- from then on
        moved_at  bigint NOT NULL,
        entry_seq bigint NOT NULL CHECK (entry_seq > since),
        PRIMARY KEY (tenant, shard, account, version)
    );
    CREATE INDEX account_moves_before ON account_moves (tenant, before);

    -- Below which parent an account stood in which entries, [since, until).
    CREATE VIEW account_places AS
    SELECT tenant, shard, account, parent, placed_seq AS since, 9223372036854775807 AS until
    FROM accounts WHERE parent IS NOT NULL
    UNION ALL
    SELECT tenant, shard, account, before, since, entry_seq FROM account_moves;

    PERFORM set_config('search_path', before, true);
END $create$;

ALTER FUNCTION ledger.create_projection(text) RENAME TO create_projection_before_moves;

CREATE FUNCTION ledger.create_projection(name text) RETURNS void LANGUAGE plpgsql AS $create$
BEGIN
    PERFORM ledger.create_projection_before_moves(name);
    PERFORM ledger.create_account_moves(name);
    PERFORM ledger.grant_projection(name);
END $create$;
REVOKE EXECUTE ON FUNCTION ledger.create_projection(text), ledger.create_account_moves(text)
    FROM PUBLIC;

SELECT ledger.create_account_moves('projection');
SELECT ledger.grant_projection('projection');
