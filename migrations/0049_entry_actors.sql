-- Who asked for a change, in the read models. It is derived: the tables that stand go, and the
-- projector fills the new ones from the journal.
ALTER FUNCTION ledger.create_projection(text) RENAME TO create_projection_without_entry_actors;

CREATE FUNCTION ledger.create_projection(name text) RETURNS void LANGUAGE plpgsql AS $create$
DECLARE
    before text := current_setting('search_path');
BEGIN
    PERFORM ledger.create_projection_without_entry_actors(name);
    PERFORM set_config('search_path', format('%I', name), true);

    -- Who was proven to have asked for an entry other than of usage and decisions, whose calls name
    -- a source. From the private records: an erasure of the account deletes it.
    CREATE TABLE entry_actors (
        tenant     int    NOT NULL,
        shard      int    NOT NULL,
        entry_seq  bigint NOT NULL,
        account    bigint NOT NULL,
        actor      text   NOT NULL,          -- "token:" and a subject, "key:" and an id, and so on
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE INDEX entry_actors_account ON entry_actors (tenant, account, entry_seq);

    PERFORM set_config('search_path', before, true);
    PERFORM ledger.grant_projection(name);
END $create$;
REVOKE EXECUTE ON FUNCTION ledger.create_projection(text) FROM PUBLIC;

DROP SCHEMA IF EXISTS projection CASCADE;
SELECT ledger.create_projection('projection');
