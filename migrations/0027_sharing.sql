-- Sharing and caps in the read models (rules D1, D8): with whom a grant has been shared since when,
-- and how much of it each may draw. They are derived: the tables that stand go, and the projector
-- fills the new ones from the journal.
ALTER FUNCTION ledger.create_projection(text) RENAME TO create_projection_without_sharing;

CREATE FUNCTION ledger.create_projection(name text) RETURNS void LANGUAGE plpgsql AS $create$
DECLARE
    before text := current_setting('search_path');
BEGIN
    PERFORM ledger.create_projection_without_sharing(name);
    PERFORM set_config('search_path', format('%I', name), true);

    -- Each change of with whom a grant is shared; grants.shared says whether it is at all.
    CREATE TABLE grant_sharings (
        tenant        int     NOT NULL,
        shard         int     NOT NULL,
        entry_seq     bigint  NOT NULL,
        account       bigint  NOT NULL,              -- whose grants they are
        grants        bigint[] NOT NULL,             -- all that the change was for
        version       bigint  NOT NULL,
        mode          smallint NOT NULL,             -- 1 none, 2 all, 3 listed, 4 matching
        accounts      bigint[] NOT NULL,             -- where they are listed
        labels        text[]  NOT NULL,              -- where they match
        recorded_at   bigint  NOT NULL,
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE INDEX grant_sharings_account ON grant_sharings (tenant, account, entry_seq);

    -- Each version of a cap; the newest row of an account's number is the one in force.
    CREATE TABLE caps (
        tenant        int     NOT NULL,
        shard         int     NOT NULL,
        entry_seq     bigint  NOT NULL,
        account       bigint  NOT NULL,              -- that shares
        number        bigint  NOT NULL,              -- within the family
        below         bigint,                        -- that is capped; NULL = it was removed
        asset         bigint,
        grant_number  bigint,                        -- NULL = of all that is shared in the asset
        version       bigint,
        terms         jsonb,
        recorded_at   bigint  NOT NULL,
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE INDEX caps_account ON caps (tenant, account, number, entry_seq);
    CREATE INDEX caps_below ON caps (tenant, below, entry_seq);

    PERFORM set_config('search_path', before, true);
    PERFORM ledger.grant_projection(name);
END $create$;

DROP SCHEMA IF EXISTS projection CASCADE;
SELECT ledger.create_projection('projection');
