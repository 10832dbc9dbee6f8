-- Contracts, and the phases of packages, in the read models (rules P4, P5). No journal from before
-- holds one.

CREATE FUNCTION ledger.create_contracts(name text) RETURNS void LANGUAGE plpgsql AS $create$
DECLARE
    before text := current_setting('search_path');
BEGIN
    PERFORM set_config('search_path', format('%I', name), true);

    -- Which phase of its package an account is in, entry by entry; '' = the package's own terms.
    CREATE TABLE package_phases (
        tenant        int      NOT NULL,
        shard         int      NOT NULL,
        entry_seq     bigint   NOT NULL,
        account       bigint   NOT NULL,
        phase         text     NOT NULL,
        periods       int      NOT NULL,     -- that it lasts, with the first
        begins_at     bigint   NOT NULL,
        recorded_at   bigint   NOT NULL,
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE INDEX package_phases_account ON package_phases (tenant, account, entry_seq);

    -- What became of a contract, entry by entry.
    CREATE TABLE contract_entries (
        tenant        int      NOT NULL,
        shard         int      NOT NULL,
        entry_seq     bigint   NOT NULL,
        account       bigint   NOT NULL,
        contract      text     NOT NULL,
        change        smallint NOT NULL,     -- 1 signed, 2 begun, 3 amended, 4 renewed, 5 ended
        package       text,                  -- NULL where the entry does not say it, as all below
        version       bigint,
        starts_at     bigint,                -- of a renewal: of the new term
        ends_at       bigint,
        auto_renew    boolean,
        effective_at  bigint,                -- of an amendment
        rerate_from   bigint,                -- from when on usage may be rated again
        ending        smallint,              -- early: 1 trued up, 2 waived, 3 transferred
        recorded_at   bigint   NOT NULL,
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE INDEX contract_entries_account ON contract_entries (tenant, account, entry_seq);

    -- The contracts as they are.
    CREATE VIEW contracts AS
    SELECT s.tenant, s.shard, s.account, s.contract, s.package, v.version, s.starts_at, e.ends_at,
           r.auto_renew,
           CASE l.change WHEN 5 THEN 3 WHEN 1 THEN 1 ELSE 2 END AS state,
           s.entry_seq, l.last_entry_seq
    FROM (SELECT * FROM contract_entries WHERE change = 1) s
    JOIN (
        SELECT DISTINCT ON (tenant, account, contract) *
        FROM contract_entries WHERE version IS NOT NULL
        ORDER BY tenant, account, contract, entry_seq DESC
    ) v USING (tenant, account, contract) JOIN (
        SELECT DISTINCT ON (tenant, account, contract) *
        FROM contract_entries WHERE ends_at IS NOT NULL
        ORDER BY tenant, account, contract, entry_seq DESC
    ) e USING (tenant, account, contract) JOIN (
        SELECT DISTINCT ON (tenant, account, contract) *
        FROM contract_entries WHERE auto_renew IS NOT NULL
        ORDER BY tenant, account, contract, entry_seq DESC
    ) r USING (tenant, account, contract) JOIN (
        SELECT tenant, account, contract, max(change) FILTER (WHERE change IN (1, 2, 5)) AS change,
               max(entry_seq) AS last_entry_seq
        FROM contract_entries GROUP BY tenant, account, contract
    ) l USING (tenant, account, contract);

    PERFORM set_config('search_path', before, true);
END $create$;

ALTER FUNCTION ledger.create_projection(text) RENAME TO create_projection_before_contracts;

CREATE FUNCTION ledger.create_projection(name text) RETURNS void LANGUAGE plpgsql AS $create$
BEGIN
    PERFORM ledger.create_projection_before_contracts(name);
    PERFORM ledger.create_contracts(name);
    PERFORM ledger.grant_projection(name);
END $create$;
REVOKE EXECUTE ON FUNCTION ledger.create_projection(text), ledger.create_contracts(text)
    FROM PUBLIC;

SELECT ledger.create_contracts('projection');
SELECT ledger.grant_projection('projection');
