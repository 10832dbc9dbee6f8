-- Policies of decisions in the read models, and the decisions that they had a say in. They are derived:
-- the tables that stand go, and the projector fills the new ones from the journal.
ALTER FUNCTION ledger.create_projection(text) RENAME TO create_projection_without_policies;

CREATE FUNCTION ledger.create_projection(name text) RETURNS void LANGUAGE plpgsql AS $create$
DECLARE
    before text := current_setting('search_path');
BEGIN
    PERFORM ledger.create_projection_without_policies(name);
    PERFORM set_config('search_path', format('%I', name), true);

    -- One row each time that an account's rules are set, or those that its package carries.
    CREATE TABLE decision_policies (
        tenant         int      NOT NULL,
        shard          int      NOT NULL,
        entry_seq      bigint   NOT NULL,
        account        bigint   NOT NULL,
        package        text     NOT NULL,            -- '' = the account's own
        version        bigint   NOT NULL,            -- of the rules, or of the package
        rules          jsonb    NOT NULL,            -- [] = none any more
        recorded_at    bigint   NOT NULL,
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE INDEX decision_policies_account ON decision_policies (tenant, account, entry_seq);

    -- One row a hold, debit or denial that a policy, or the request's alternatives, had a say in.
    CREATE TABLE rulings (
        tenant         int      NOT NULL,
        shard          int      NOT NULL,
        entry_seq      bigint   NOT NULL,
        account        bigint   NOT NULL,
        policy_account bigint,                       -- that has the policy; NULL = there is none
        policy_version bigint   NOT NULL,
        package        text     NOT NULL,
        rule           int      NOT NULL,            -- that decided, from 1; 0 = none did
        -- 0 none, 1 deny, 2 overdraw, 3 downgrade, 4 defer, 5 top up
        action         smallint NOT NULL,
        reason         text     NOT NULL,            -- why not as asked; '' = as asked
        product        text     NOT NULL,            -- that was asked for
        charge         bigint   NOT NULL,            -- of what was asked for
        missing        bigint   NOT NULL,            -- units that a top-up is to bring
        top_up         bigint,
        tried          jsonb    NOT NULL,
        recorded_at    bigint   NOT NULL,
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE INDEX rulings_account ON rulings (tenant, account, entry_seq);

    PERFORM set_config('search_path', before, true);
    PERFORM ledger.grant_projection(name);
END $create$;
REVOKE EXECUTE ON FUNCTION ledger.create_projection(text) FROM PUBLIC;

DROP SCHEMA IF EXISTS projection CASCADE;
SELECT ledger.create_projection('projection');
