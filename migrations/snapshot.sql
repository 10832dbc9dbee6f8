-- What the migrations make of an empty database. Never edited by hand: it is made by
-- `python -m tests.journal.snapshot`, and the digest is of the names and checksums of all of them.
-- stands for 0059, 7a49982ed9d66126c859df8230648b8c1df93c2f36035d75c33a601312ef3019

SET LOCAL check_function_bodies = false;

CREATE SCHEMA projection;

CREATE FUNCTION ledger.account_erased() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM ledger.note_directory_change(NEW.tenant, NULL, NEW.number);
    RETURN NULL;
END $$;

CREATE FUNCTION ledger.alias_changed() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM ledger.note_directory_change(NEW.tenant, NEW.alias, NEW.account);
    RETURN NULL;
END $$;

CREATE FUNCTION ledger.alias_erased() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM ledger.note_directory_change(OLD.tenant, NULL, OLD.account);
    DELETE FROM ledger.directory_change WHERE tenant = OLD.tenant AND alias = OLD.alias;
    RETURN NULL;
END $$;

CREATE FUNCTION ledger.create_account_moves(name text) RETURNS void
    LANGUAGE plpgsql
    AS $$
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
END $$;

CREATE FUNCTION ledger.create_contracts(name text) RETURNS void
    LANGUAGE plpgsql
    AS $$
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
END $$;

CREATE FUNCTION ledger.create_costs(name text) RETURNS void
    LANGUAGE plpgsql
    AS $$
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
END $$;

CREATE FUNCTION ledger.create_fixed_charges(name text) RETURNS void
    LANGUAGE plpgsql
    AS $$
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
END $$;

CREATE FUNCTION ledger.create_outcomes(name text) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    before text := current_setting('search_path');
BEGIN
    PERFORM set_config('search_path', format('%I', name), true);

    -- When the work was reported, which was done at authorized_at; NULL = a hold.
    ALTER TABLE holds ADD COLUMN reported_at bigint;

    -- Outcomes with what their plan says. The charge of one that is confirmed is that of its usage.
    CREATE VIEW outcomes AS
    SELECT h.tenant, h.shard, h.number, h.entry_seq, h.account, p.product, p.attributes,
           p.quantity_names, h.quantities, h.asset, h.amount AS reserved_at_report,
           CASE h.state WHEN 0 THEN 'pending' WHEN 1 THEN 'confirmed' WHEN 4 THEN 'confirmed'
                        ELSE 'rejected' END AS state,
           h.state IN (3, 4) AS by_time, h.authorized_at AS effective_at, h.reported_at,
           nullif(h.expires_at, 9223372036854775807) AS due_at, h.settled_at, h.settled_by
    FROM holds h JOIN plans p USING (tenant, shard, plan)
    WHERE h.reported_at IS NOT NULL;

    PERFORM set_config('search_path', before, true);
END $$;

CREATE FUNCTION ledger.create_package_charges(name text) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    before text := current_setting('search_path');
BEGIN
    PERFORM set_config('search_path', format('%I', name), true);

    CREATE OR REPLACE VIEW fixed_charges AS
    SELECT s.tenant, s.shard, s.charge, s.account, s.name, q.quantity, p.period, p.period_start,
           p.period_end, e.ends_at, s.entry_seq
    FROM charge_entries s
    JOIN LATERAL (
        SELECT quantity FROM charge_entries
        WHERE tenant = s.tenant AND account = s.account AND charge = s.charge
          AND change IN (1, 2, 3, 8) ORDER BY entry_seq DESC LIMIT 1
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

    PERFORM set_config('search_path', before, true);
END $$;

CREATE FUNCTION ledger.create_packages(name text) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    before text := current_setting('search_path');
BEGIN
    PERFORM set_config('search_path', format('%I', name), true);

    -- What became of the subscription of an account, entry by entry (rules P1, P3).
    CREATE TABLE subscription_entries (
        tenant        int      NOT NULL,
        shard         int      NOT NULL,
        entry_seq     bigint   NOT NULL,
        account       bigint   NOT NULL,
        change        smallint NOT NULL,     -- 1 subscribed, 2 changed now, 3 to change, 4 period,
                                             -- 5 cancelled now, 6 to be cancelled, 7 ended
        package       text,                  -- NULL where it is cancelled or ended
        version       bigint,                -- of the package; NULL where that is not said yet
        follow        smallint,              -- 1 the newest, 2 this one, 3 the newest after
        locked_until  bigint,
        period_start  bigint,
        period_end    bigint,
        ends_at       bigint,
        recorded_at   bigint   NOT NULL,
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE INDEX subscription_entries_account
        ON subscription_entries (tenant, account, entry_seq);
    CREATE INDEX subscription_entries_package
        ON subscription_entries (tenant, package, account) WHERE package IS NOT NULL;

    -- The subscriptions as they are: the last period of each, and whether it is over.
    CREATE VIEW subscriptions AS
    SELECT p.tenant, p.shard, p.account, p.package, p.version, p.period_start, p.period_end,
           l.change IN (5, 7) AS over, l.ends_at, l.entry_seq AS last_entry_seq
    FROM (
        SELECT DISTINCT ON (tenant, account) *
        FROM subscription_entries WHERE change IN (1, 2, 4)
        ORDER BY tenant, account, entry_seq DESC
    ) p JOIN (
        SELECT DISTINCT ON (tenant, account) *
        FROM subscription_entries ORDER BY tenant, account, entry_seq DESC
    ) l USING (tenant, account);

    PERFORM set_config('search_path', before, true);
END $$;

CREATE FUNCTION ledger.create_projection(name text) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    before text := current_setting('search_path');
BEGIN
    PERFORM ledger.create_projection_without_lease_operations(name);
    PERFORM set_config('search_path', format('%I', name), true);

    -- Of one that is granted: digests of its operation and of that one's parent; NULL = of none.
    ALTER TABLE lease_entries ADD COLUMN operation bytea, ADD COLUMN parent bytea;

    CREATE OR REPLACE VIEW leases AS
    SELECT g.tenant, g.shard, g.account, g.lease, g.holder, g.on_lapse, g.recorded_at AS granted_at,
           l.change, l.recorded_at AS changed_at, h.state = 0 AS open, h.asset, h.captured,
           CASE WHEN h.state = 0 THEN h.amount - h.captured ELSE 0 END AS in_escrow, h.expires_at,
           g.operation, g.parent
    FROM lease_entries g
    JOIN holds h ON h.tenant = g.tenant AND h.shard = g.shard AND h.number = g.lease
    JOIN LATERAL (
        SELECT e.change, e.recorded_at FROM lease_entries e
        WHERE e.tenant = g.tenant AND e.account = g.account AND e.lease = g.lease
        ORDER BY e.entry_seq DESC LIMIT 1
    ) l ON true
    WHERE g.change = 1;

    PERFORM set_config('search_path', before, true);
    PERFORM ledger.grant_projection(name);
END $$;

CREATE FUNCTION ledger.create_projection_before_contracts(name text) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM ledger.create_projection_before_fixed_charges(name);
    PERFORM ledger.create_fixed_charges(name);
    PERFORM ledger.grant_projection(name);
END $$;

CREATE FUNCTION ledger.create_projection_before_costs(name text) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    before text := current_setting('search_path');
BEGIN
    PERFORM ledger.create_projection_without_suspense(name);
    PERFORM set_config('search_path', format('%I', name), true);

    -- A rating of what waited is a row like the usage event's, without names; outcome 4.
    ALTER TABLE usage_events DROP CONSTRAINT usage_events_outcome_check;
    ALTER TABLE usage_events ADD CONSTRAINT usage_events_outcome_check
        CHECK (outcome IN (1, 2, 3, 4));
    DROP INDEX usage_events_waiting;

    -- Usage events of which something waits, as far as it is not reversed. Arrays stand parallel to
    -- the plan's quantity_names.
    CREATE TABLE waiting (
        tenant        int      NOT NULL,
        shard         int      NOT NULL,
        entry_seq     bigint   NOT NULL,             -- of the usage event
        account       bigint   NOT NULL,
        plan          uuid     NOT NULL,
        effective_at  bigint   NOT NULL,
        recorded_at   bigint   NOT NULL,             -- since when it waits
        quantities    bigint[] NOT NULL,             -- not reversed
        reasons       text[]   NOT NULL,             -- NULL element = does not wait
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE INDEX waiting_recorded ON waiting (tenant, recorded_at, shard, entry_seq);

    -- The entries that rated a usage event after it had waited.
    CREATE TABLE ratings (
        tenant          int    NOT NULL,
        shard           int    NOT NULL,
        original_entry  bigint NOT NULL,             -- the usage event
        entry_seq       bigint NOT NULL,             -- a row of usage_events
        PRIMARY KEY (tenant, shard, original_entry, entry_seq)
    );
    CREATE UNIQUE INDEX ratings_entry ON ratings (tenant, shard, entry_seq);

    -- Quantities that wait for a price (rule B8).
    DROP VIEW suspense;
    CREATE VIEW suspense AS
    SELECT w.tenant, w.shard, w.entry_seq, w.account, p.product, p.attributes,
           p.quantity_names[i] AS quantity_name, w.quantities[i] AS quantity,
           w.reasons[i] AS reason, w.effective_at, w.recorded_at
    FROM waiting w JOIN plans p USING (tenant, shard, plan), generate_subscripts(w.reasons, 1) i
    WHERE w.reasons[i] IS NOT NULL;

    PERFORM set_config('search_path', before, true);
    PERFORM ledger.grant_projection(name);
END $$;

CREATE FUNCTION ledger.create_projection_before_fixed_charges(name text) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM ledger.create_projection_before_seats(name);
    PERFORM ledger.create_seats(name);
    PERFORM ledger.grant_projection(name);
END $$;

CREATE FUNCTION ledger.create_projection_before_moves(name text) RETURNS void
    LANGUAGE plpgsql
    AS $$
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
END $$;

CREATE FUNCTION ledger.create_projection_before_outcomes(name text) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM ledger.create_projection_before_costs(name);
    PERFORM ledger.create_costs(name);
    PERFORM ledger.grant_projection(name);
END $$;

CREATE FUNCTION ledger.create_projection_before_package_charges(name text) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    before text := current_setting('search_path');
BEGIN
    PERFORM ledger.create_projection_without_budget_values(name);
    PERFORM set_config('search_path', format('%I', name), true);

    -- Which value of which budget a counter is of, and while it is kept. An empty array: those that
    -- are more than may have one, together.
    CREATE TABLE budget_values (
        tenant        int     NOT NULL,
        shard         int     NOT NULL,
        number        bigint  NOT NULL,              -- of the counter
        account       bigint  NOT NULL,              -- of the budget
        budget        bigint  NOT NULL,
        value         text[]  NOT NULL,              -- of each attribute; '' = usage lacks it
        opened_at     bigint  NOT NULL,
        closed_at     bigint,                        -- NULL = it is kept
        PRIMARY KEY (tenant, shard, number)
    );
    CREATE INDEX budget_values_budget ON budget_values (tenant, shard, budget, value)
        WHERE closed_at IS NULL;

    -- Of which budget, and of which value of it; NULL = the budget counts all together.
    ALTER TABLE budget_crossings ADD COLUMN budget bigint, ADD COLUMN value text[];
    CREATE INDEX budget_crossings_entry ON budget_crossings (shard, entry_seq);

    PERFORM set_config('search_path', before, true);
    PERFORM ledger.grant_projection(name);
END $$;

CREATE FUNCTION ledger.create_projection_before_packages(name text) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM ledger.create_projection_before_moves(name);
    PERFORM ledger.create_account_moves(name);
    PERFORM ledger.grant_projection(name);
END $$;

CREATE FUNCTION ledger.create_projection_before_seats(name text) RETURNS void
    LANGUAGE plpgsql
    AS $$
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
END $$;

CREATE FUNCTION ledger.create_projection_before_shared_rerates(name text) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    before text := current_setting('search_path');
BEGIN
    PERFORM ledger.create_projection_without_gauges(name);
    PERFORM set_config('search_path', format('%I', name), true);

    -- One row a report, and one for what takes it back or charges its scope.
    CREATE TABLE gauge_entries (
        tenant         int      NOT NULL,
        shard          int      NOT NULL,
        entry_seq      bigint   NOT NULL,
        account        bigint   NOT NULL,
        change         smallint NOT NULL,            -- 1 reported, 2 taken back, 3 charged
        gauge          bigint   NOT NULL,
        scope_start    bigint   NOT NULL,
        scope_end      bigint   NOT NULL,
        plan           uuid,                         -- NULL where a report is taken back
        effective_at   bigint,
        quantities     bigint[] NOT NULL,            -- reported or charged; {} where taken back
        level          bigint[] NOT NULL,            -- by then; {} = no report is left
        original_entry bigint,                       -- the report that is taken back
        recorded_at    bigint   NOT NULL,
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE INDEX gauge_entries_account
        ON gauge_entries (tenant, account, gauge, scope_start, scope_end, entry_seq);

    -- What each gauge shows, or was charged as, in each scope: the newest of its entries.
    CREATE VIEW gauges AS
    SELECT DISTINCT ON (tenant, shard, account, gauge, scope_start, scope_end)
           tenant, shard, account, gauge, scope_start, scope_end, change = 3 AS charged, level,
           entry_seq
    FROM gauge_entries
    ORDER BY tenant, shard, account, gauge, scope_start, scope_end, entry_seq DESC;

    PERFORM set_config('search_path', before, true);
    PERFORM ledger.grant_projection(name);
END $$;

CREATE FUNCTION ledger.create_projection_before_statements(name text) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM ledger.create_projection_before_contracts(name);
    PERFORM ledger.create_contracts(name);
    PERFORM ledger.grant_projection(name);
END $$;

CREATE FUNCTION ledger.create_projection_without_budget_values(name text) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM ledger.create_projection_before_shared_rerates(name);
    PERFORM ledger.create_shared_rerates(name);
    PERFORM ledger.grant_projection(name);
END $$;

CREATE FUNCTION ledger.create_projection_without_budgets(name text) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM ledger.create_projection_before_outcomes(name);
    PERFORM ledger.create_outcomes(name);
    PERFORM ledger.grant_projection(name);
END $$;

CREATE FUNCTION ledger.create_projection_without_entry_actors(name text) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    before text := current_setting('search_path');
BEGIN
    PERFORM ledger.create_projection_without_usage_hours(name);
    PERFORM set_config('search_path', format('%I', name), true);

    -- Draws of usage less what was given back of usage, by the hour in which it was effective.
    CREATE TABLE usage_hours (
        tenant   int     NOT NULL,
        shard    int     NOT NULL,
        account  bigint  NOT NULL,           -- whose usage it was
        book     bigint  NOT NULL,           -- that paid: of a grant, an advance, overage, a conversion
        hour     bigint  NOT NULL,           -- its first microsecond
        amount   numeric NOT NULL,           -- below 0 where more was given back than drawn
        PRIMARY KEY (tenant, account, hour, shard, book)
    );
    CREATE INDEX usage_hours_book ON usage_hours (tenant, shard, book, hour);

    PERFORM set_config('search_path', before, true);
    PERFORM ledger.grant_projection(name);
END $$;

CREATE FUNCTION ledger.create_projection_without_gauges(name text) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM ledger.create_projection_before_statements(name);
    PERFORM ledger.create_statements(name);
    PERFORM ledger.grant_projection(name);
END $$;

CREATE FUNCTION ledger.create_projection_without_lease_operations(name text) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    before text := current_setting('search_path');
BEGIN
    PERFORM ledger.create_projection_without_runways(name);
    PERFORM set_config('search_path', format('%I', name), true);

    -- One row a change of a rule.
    CREATE TABLE runway_rules (
        tenant        int     NOT NULL,
        shard         int     NOT NULL,
        entry_seq     bigint  NOT NULL,
        account       bigint  NOT NULL,
        asset         bigint  NOT NULL,
        version       bigint,                        -- NULL = it was removed, as are its hours
        hours         int,
        rearm_hours   int,
        recorded_at   bigint  NOT NULL,
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE INDEX runway_rules_account ON runway_rules (shard, account, asset, entry_seq);

    -- One row a crossing: an alert, or that the balance lasts again.
    CREATE TABLE runway_crossings (
        tenant        int     NOT NULL,
        shard         int     NOT NULL,
        entry_seq     bigint  NOT NULL,
        account       bigint  NOT NULL,
        asset         bigint  NOT NULL,
        version       bigint  NOT NULL,              -- of the rule
        crossing      bigint  NOT NULL,              -- of the version, from 1
        short         boolean NOT NULL,              -- the balance may not last; false = it does again
        as_of         bigint  NOT NULL,              -- when it was foretold
        empty_at      bigint,                        -- in one future of ten; NULL = not within the hours
        available     numeric NOT NULL,
        needed        numeric NOT NULL,              -- by nine futures of ten, in the hours looked at
        recorded_at   bigint  NOT NULL,
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE INDEX runway_crossings_account ON runway_crossings (tenant, account, recorded_at);

    -- The rules in force, and what was told last by each.
    CREATE VIEW runway_alerts AS
    SELECT r.tenant, r.shard, r.account, r.asset, r.version, r.hours, r.rearm_hours,
           coalesce(c.short, false) AS short, coalesce(c.crossing, 0) AS crossings,
           c.recorded_at AS crossed_at, c.empty_at, c.available, c.needed
    FROM (
        SELECT DISTINCT ON (shard, account, asset) *
        FROM runway_rules ORDER BY shard, account, asset, entry_seq DESC
    ) r
    LEFT JOIN LATERAL (
        SELECT * FROM runway_crossings x
        WHERE x.tenant = r.tenant AND x.account = r.account AND x.asset = r.asset
          AND x.version = r.version
        ORDER BY x.crossing DESC LIMIT 1
    ) c ON true
    WHERE r.version IS NOT NULL;

    PERFORM set_config('search_path', before, true);
    PERFORM ledger.grant_projection(name);
END $$;

CREATE FUNCTION ledger.create_projection_without_leases(name text) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM ledger.create_projection_before_package_charges(name);
    PERFORM ledger.create_package_charges(name);
    PERFORM ledger.grant_projection(name);
END $$;

CREATE FUNCTION ledger.create_projection_without_mandates(name text) RETURNS void
    LANGUAGE plpgsql
    AS $$
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
END $$;

CREATE FUNCTION ledger.create_projection_without_minimums(name text) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM ledger.create_projection_before_packages(name);
    PERFORM ledger.create_packages(name);
    PERFORM ledger.grant_projection(name);
END $$;

CREATE FUNCTION ledger.create_projection_without_policies(name text) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    before text := current_setting('search_path');
BEGIN
    PERFORM ledger.create_projection_without_leases(name);
    PERFORM set_config('search_path', format('%I', name), true);

    -- One row an entry of a lease. What is in escrow by now stands with its hold, in `holds`; usage
    -- of a lease is usage as any.
    CREATE TABLE lease_entries (
        tenant         int      NOT NULL,
        shard          int      NOT NULL,
        entry_seq      bigint   NOT NULL,
        account        bigint   NOT NULL,
        lease          bigint   NOT NULL,            -- a number among the holds
        -- 1 granted, 2 renewed, 3 returned, 4 written off, 5 lapsed, 6 lapsed and stays charged,
        -- 7 recalled
        change         smallint NOT NULL,
        holder         text,                         -- of one that is granted
        on_lapse       smallint,                     -- 1 return, 2 charge
        wanted         bigint,
        amount         bigint,                       -- in escrow from here on; lapsed: not reported
        share          bigint,                       -- fair share; recalled: what it is to come down to
        lapses_at      bigint,
        recorded_at    bigint   NOT NULL,
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE INDEX lease_entries_account ON lease_entries (tenant, account, lease, entry_seq);

    -- Each lease: whose it is, how it was granted, and what came last.
    CREATE VIEW leases AS
    SELECT g.tenant, g.shard, g.account, g.lease, g.holder, g.on_lapse, g.recorded_at AS granted_at,
           l.change, l.recorded_at AS changed_at, h.state = 0 AS open, h.asset, h.captured,
           CASE WHEN h.state = 0 THEN h.amount - h.captured ELSE 0 END AS in_escrow, h.expires_at
    FROM lease_entries g
    JOIN holds h ON h.tenant = g.tenant AND h.shard = g.shard AND h.number = g.lease
    JOIN LATERAL (
        SELECT e.change, e.recorded_at FROM lease_entries e
        WHERE e.tenant = g.tenant AND e.account = g.account AND e.lease = g.lease
        ORDER BY e.entry_seq DESC LIMIT 1
    ) l ON true
    WHERE g.change = 1;

    PERFORM set_config('search_path', before, true);
    PERFORM ledger.grant_projection(name);
END $$;

CREATE FUNCTION ledger.create_projection_without_runways(name text) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    before text := current_setting('search_path');
BEGIN
    PERFORM ledger.create_projection_without_mandates(name);
    PERFORM set_config('search_path', format('%I', name), true);

    -- One row an entry of a mandate. What is spent of it stands with its budget.
    CREATE TABLE mandate_entries (
        tenant         int      NOT NULL,
        shard          int      NOT NULL,
        entry_seq      bigint   NOT NULL,
        account        bigint   NOT NULL,            -- the agent's
        change         smallint NOT NULL,            -- 1 granted, 2 revoked
        asset          bigint,                       -- of one that is granted, and so on
        budget         bigint,
        terms          jsonb,                        -- products, attributes, price, end, purchases
        purchase_limit bigint,                       -- money, NULL = it buys nothing
        price_asset    bigint,
        reason         text,                         -- of one that is revoked
        recorded_at    bigint   NOT NULL,
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE INDEX mandate_entries_account ON mandate_entries (tenant, account, entry_seq);

    -- Top-ups that agents requested; `grant_number` waits for its payment, or did.
    CREATE TABLE mandate_purchases (
        tenant         int      NOT NULL,
        shard          int      NOT NULL,
        entry_seq      bigint   NOT NULL,
        account        bigint   NOT NULL,            -- the agent's
        payer          bigint   NOT NULL,
        grant_number   bigint   NOT NULL,
        asset          bigint   NOT NULL,
        amount         bigint   NOT NULL,
        price_paid     bigint   NOT NULL,
        price_asset    bigint   NOT NULL,
        counted        bigint[] NOT NULL,            -- accounts whose mandates count it
        recorded_at    bigint   NOT NULL,
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE INDEX mandate_purchases_grant ON mandate_purchases (tenant, shard, grant_number);
    CREATE INDEX mandate_purchases_counted ON mandate_purchases USING gin (counted);

    -- What was never paid of grants that waited for their payment.
    CREATE TABLE unpaid_grants (
        tenant         int      NOT NULL,
        shard          int      NOT NULL,
        entry_seq      bigint   NOT NULL,
        account        bigint   NOT NULL,
        grant_number   bigint   NOT NULL,
        amount         bigint   NOT NULL,
        unpaid         bigint   NOT NULL,            -- its share of the price
        recorded_at    bigint   NOT NULL,
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE INDEX unpaid_grants_grant ON unpaid_grants (tenant, shard, grant_number);

    -- Each mandate: what it allows, what is spent of it and held, and what was bought, less what was
    -- never paid.
    CREATE VIEW mandates AS
    SELECT g.tenant, g.shard, g.account, g.asset, g.budget, g.terms, g.recorded_at AS granted_at,
           r.recorded_at AS revoked_at, r.reason, coalesce(s.spent, 0) AS spent,
           coalesce(s.held, 0) AS held, g.purchase_limit, g.price_asset,
           coalesce(b.purchased, 0) AS purchased
    FROM mandate_entries g
    LEFT JOIN mandate_entries r ON r.tenant = g.tenant AND r.account = g.account AND r.change = 2
    LEFT JOIN LATERAL (
        SELECT sum(w.posted) AS spent, sum(w.pending) AS held
        FROM budgets t
        JOIN budget_windows w ON w.tenant = t.tenant AND w.shard = t.shard AND w.number = t.number
        WHERE t.tenant = g.tenant AND t.account = g.account AND t.name = 'mandate'
    ) s ON true
    LEFT JOIN LATERAL (
        SELECT sum(p.price_paid - coalesce(u.unpaid, 0)) AS purchased
        FROM mandate_purchases p
        LEFT JOIN unpaid_grants u
          ON u.tenant = p.tenant AND u.shard = p.shard AND u.grant_number = p.grant_number
        WHERE p.tenant = g.tenant AND p.shard = g.shard AND p.counted @> ARRAY[g.account]
    ) b ON true
    WHERE g.change = 1;

    PERFORM set_config('search_path', before, true);
    PERFORM ledger.grant_projection(name);
END $$;

CREATE FUNCTION ledger.create_projection_without_sharing(name text) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    before text := current_setting('search_path');
BEGIN
    PERFORM ledger.create_projection_without_budgets(name);
    PERFORM set_config('search_path', format('%I', name), true);

    -- Each version of a budget; the newest row of a number is the one in force.
    CREATE TABLE budgets (
        tenant        int     NOT NULL,
        shard         int     NOT NULL,
        entry_seq     bigint  NOT NULL,
        account       bigint  NOT NULL,
        number        bigint  NOT NULL,
        name          text    NOT NULL,
        version       bigint,                        -- NULL = it was removed, as are its terms
        terms         jsonb,
        recorded_at   bigint  NOT NULL,
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE INDEX budgets_account ON budgets (tenant, account, number, entry_seq);

    -- What a budget has counted in a window, or in a bucket of a sliding one: [since, until).
    -- (0, 0) is what came so late that it counts only in the lifetime.
    CREATE TABLE budget_windows (
        tenant        int     NOT NULL,
        shard         int     NOT NULL,
        number        bigint  NOT NULL,
        since         bigint  NOT NULL,
        until         bigint  NOT NULL,
        posted        numeric NOT NULL,
        pending       numeric NOT NULL,              -- of holds
        PRIMARY KEY (tenant, shard, number, since, until)
    ) WITH (fillfactor = 80);

    -- Thresholds that were reached: each once a window.
    CREATE TABLE budget_crossings (
        tenant        int     NOT NULL,
        shard         int     NOT NULL,
        entry_seq     bigint  NOT NULL,
        account       bigint  NOT NULL,              -- of the budget
        number        bigint  NOT NULL,
        threshold     int     NOT NULL,              -- percent of the limit
        used          numeric NOT NULL,
        most          bigint  NOT NULL,              -- the limit then
        recorded_at   bigint  NOT NULL,
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE INDEX budget_crossings_account ON budget_crossings (tenant, account, recorded_at);

    PERFORM set_config('search_path', before, true);
    PERFORM ledger.grant_projection(name);
END $$;

CREATE FUNCTION ledger.create_projection_without_sizing(name text) RETURNS void
    LANGUAGE plpgsql
    AS $$
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
END $$;

CREATE FUNCTION ledger.create_projection_without_suspense(name text) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    before text := current_setting('search_path');
BEGIN
    EXECUTE format('CREATE SCHEMA %I', name);
    PERFORM set_config('search_path', format('%I', name), true);

    -- Where each shard stands. Its row is the lock of the shard's projector. `scrubs` counts
    -- erasures: whoever sees it move has read private records that are to be read again.
    CREATE TABLE checkpoint (
        shard        int    PRIMARY KEY CHECK (shard >= 0),
        batch_seq    bigint NOT NULL DEFAULT 0,
        entries      bigint NOT NULL DEFAULT 0,      -- = the entry_seq that comes next
        recorded_at  bigint NOT NULL DEFAULT 0,
        hash         bytea  NOT NULL DEFAULT decode(repeat('00', 32), 'hex'),
        scrubs       bigint NOT NULL DEFAULT 0
    );

    -- How far behind the journal each shard is, as its projector saw it.
    CREATE TABLE status (
        shard         int    PRIMARY KEY,
        entries       bigint NOT NULL,
        head_entries  bigint NOT NULL,
        lag_entries   bigint NOT NULL,
        lag_us        bigint NOT NULL,
        measured_at   bigint NOT NULL,
        measured_by   text   NOT NULL
    );

    -- How far the clocks of sandbox tenants are ahead on each shard, microseconds (rule T4). What is
    -- recorded of such a tenant is recorded by its own clock, in every table.
    CREATE TABLE clocks (
        tenant  int    NOT NULL,
        shard   int    NOT NULL,
        ahead   bigint NOT NULL CHECK (ahead > 0),
        PRIMARY KEY (tenant, shard)
    );

    -- One row a transfer (rule B1). A usage event's slices are its posted lines with a pot (B4).
    CREATE TABLE transfers (
        entry_seq     bigint   NOT NULL,
        debit_book    bigint   NOT NULL,
        credit_book   bigint   NOT NULL,
        asset         bigint   NOT NULL,
        amount        bigint   NOT NULL CHECK (amount > 0),
        value         bigint   NOT NULL,             -- money recognised by the slice
        cost          bigint   NOT NULL,             -- the provider's
        effective_at  bigint   NOT NULL,
        recorded_at   bigint   NOT NULL,
        tenant        int      NOT NULL,
        shard         int      NOT NULL,
        line          int      NOT NULL,             -- within the entry, from 0
        phase         smallint NOT NULL CHECK (phase IN (1, 2, 3)),  -- pending, posted, released
        pot           smallint NOT NULL CHECK (pot >= 0), -- 0 = no draw, else core's Pot
        PRIMARY KEY (tenant, shard, entry_seq, line)
    );
    -- What moved on a book, by how late it was recorded (see ledger.lateness), in recorded order.
    -- Draws credit books of usage only, which nobody looks up by instants.
    CREATE INDEX transfers_debits
        ON transfers (shard, debit_book, ledger.lateness(effective_at, recorded_at), recorded_at);
    CREATE INDEX transfers_credits
        ON transfers (shard, credit_book, ledger.lateness(effective_at, recorded_at), recorded_at)
        WHERE pot = 0;
    -- What left a book other than by draws: voids, expiries, repaid advances. Few.
    CREATE INDEX transfers_no_draws ON transfers (shard, debit_book) WHERE pot = 0;

    -- How usage was described and priced, once each, by the digest of what it says.
    CREATE TABLE plans (
        tenant          int      NOT NULL,
        shard           int      NOT NULL,
        plan            uuid     NOT NULL,
        product         text     NOT NULL,
        attributes      jsonb    NOT NULL,
        quantity_names  text[]   NOT NULL,
        rate_card       text     NOT NULL,
        card_version    bigint   NOT NULL,
        price_rows      bigint[] NOT NULL,           -- version << 20 | row; NULL = unpriced
        asset           bigint   NOT NULL,
        PRIMARY KEY (tenant, shard, plan)
    );

    -- One row a usage event. Arrays stand parallel to the plan's quantity_names. The columns from
    -- `source` to `personal` come from journal_private and are blanked by an erasure.
    CREATE TABLE usage_events (
        entry_seq         bigint   NOT NULL,
        account           bigint   NOT NULL,
        asset             bigint   NOT NULL,
        effective_at      bigint   NOT NULL,
        recorded_at       bigint   NOT NULL,
        charge            bigint   NOT NULL,         -- sum of the rated quantities
        plan              uuid     NOT NULL,
        tenant            int      NOT NULL,
        shard             int      NOT NULL,
        outcome           smallint NOT NULL CHECK (outcome IN (1, 2, 3)),
                                                     -- applied, suspense, quarantined
        late              boolean  NOT NULL,         -- captured after its hold had expired
        by_expiry         boolean  NOT NULL,         -- a hold's estimate, charged when it expired
        quantities        bigint[] NOT NULL,
        charges           bigint[],                  -- NULL element = in suspense
        over_limit        bigint,                    -- the part that went by the excess policy
        hold              bigint,                    -- captured, or charged, by this event
        reason            text,                      -- UNPRICED, TOO_OLD
        trace             bytea,
        source            text,
        event_id          text,
        operation         text,
        operation_parent  text,
        personal          jsonb,
        reversed          bigint   NOT NULL DEFAULT 0 CHECK (reversed >= 0),
                                                     -- of the charge, given back since
        reversed_quantities bigint[],                -- NULL = none was
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE INDEX usage_events_id ON usage_events (tenant, event_id, account)
        WHERE event_id IS NOT NULL;
    CREATE INDEX usage_events_account ON usage_events (tenant, account, entry_seq);
    CREATE INDEX usage_events_waiting ON usage_events (tenant, shard, entry_seq) WHERE outcome > 1;

    -- One row a reversal (rule D3); its transfers give back, with value and cost below zero.
    CREATE TABLE reversals (
        tenant          int      NOT NULL,
        shard           int      NOT NULL,
        entry_seq       bigint   NOT NULL,
        account         bigint   NOT NULL,
        original_entry  bigint   NOT NULL,           -- the usage event that is corrected
        plan            uuid     NOT NULL,
        asset           bigint   NOT NULL,
        effective_at    bigint   NOT NULL,           -- of the usage
        recorded_at     bigint   NOT NULL,
        quantities      bigint[] NOT NULL,           -- given back, parallel to the plan
        refunds         bigint[] NOT NULL,           -- what each line costs less
        amount          bigint   NOT NULL CHECK (amount >= 0),
        as_charged      bigint   NOT NULL CHECK (as_charged >= 0),
        trace           bytea,
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE INDEX reversals_original ON reversals (tenant, shard, original_entry);
    CREATE INDEX reversals_account ON reversals (tenant, account, recorded_at, entry_seq);

    -- Usage that was recorded in the stead of other usage, with the reversal of that.
    CREATE TABLE amendments (
        tenant          int    NOT NULL,
        shard           int    NOT NULL,
        entry_seq       bigint NOT NULL,             -- the usage event that stands now
        account         bigint NOT NULL,
        reversal_entry  bigint NOT NULL,
        original_entry  bigint NOT NULL,
        PRIMARY KEY (tenant, shard, entry_seq)
    );

    -- Units credited (above 0) or debited by hand; why and by whom stands beside the journal.
    CREATE TABLE manual_adjustments (
        tenant       int    NOT NULL,
        shard        int    NOT NULL,
        entry_seq    bigint NOT NULL,
        account      bigint NOT NULL,
        asset        bigint NOT NULL,
        amount       bigint NOT NULL CHECK (amount <> 0),
        number       bigint,                         -- of the grant that was named or issued
        recorded_at  bigint NOT NULL,
        trace        bytea,
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE INDEX manual_adjustments_account
        ON manual_adjustments (tenant, account, recorded_at, entry_seq);

    -- Entries of a closed period that count in the open one (rule T2).
    CREATE TABLE adjustments (
        tenant       int    NOT NULL,
        shard        int    NOT NULL,
        entry_seq    bigint NOT NULL,                -- the usage event or reversal
        account      bigint NOT NULL,
        period       bigint NOT NULL,                -- first instant of the period it counts in
        closed       bigint NOT NULL,                -- ... and of the one that it belongs to
        recorded_at  bigint NOT NULL,
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE INDEX adjustments_account ON adjustments (tenant, account, period, entry_seq);

    -- Book accounts with their four counters (rule B1).
    CREATE TABLE books (
        tenant          int      NOT NULL,
        shard           int      NOT NULL,
        book            bigint   NOT NULL,
        kind            smallint NOT NULL CHECK (kind >= 1),             -- core's BookKind
        asset           bigint   NOT NULL,
        owner           bigint   NOT NULL,           -- account or grant; 0 = the house
        name            text     NOT NULL,
        debits_posted   numeric  NOT NULL CHECK (debits_posted >= 0),
        credits_posted  numeric  NOT NULL CHECK (credits_posted >= 0),
        debits_pending  numeric  NOT NULL CHECK (debits_pending >= 0),
        credits_pending numeric  NOT NULL CHECK (credits_pending >= 0),
        transfers       bigint   NOT NULL DEFAULT 0 CHECK (transfers >= 0),  -- draws only as debits
        value           numeric  NOT NULL,           -- money recognised by what was drawn from it
        PRIMARY KEY (tenant, shard, book)
    ) WITH (fillfactor = 70);                        -- counters change in place
    CREATE INDEX books_of_accounts ON books (tenant, owner) WHERE kind IN (2, 3);

    -- Counters of a book as they stood at a recorded time, once in 512 of its transfers and a
    -- transaction of the projector: what is older need not be summed again.
    CREATE TABLE book_snapshots (
        tenant          int      NOT NULL,
        shard           int      NOT NULL,
        book            bigint   NOT NULL,
        recorded_at     bigint   NOT NULL,           -- all that was recorded until then is in it
        debits_posted   numeric  NOT NULL,
        credits_posted  numeric  NOT NULL,
        debits_pending  numeric  NOT NULL,
        credits_pending numeric  NOT NULL,
        PRIMARY KEY (tenant, shard, book, recorded_at)
    );

    -- What limits of the past rest on (rule H6), each as it stood once a batch was recorded: an
    -- account's confirmed payments less refunds and chargebacks, and since when it has owed in
    -- advance. The newest row until an instant is the one that counts.
    CREATE TABLE lifetime_values (
        tenant          int      NOT NULL,
        shard           int      NOT NULL,
        account         bigint   NOT NULL,
        asset           bigint   NOT NULL,
        recorded_at     bigint   NOT NULL,
        value           numeric  NOT NULL,
        PRIMARY KEY (tenant, shard, account, asset, recorded_at)
    );
    CREATE TABLE debts_since (
        tenant          int      NOT NULL,
        shard           int      NOT NULL,
        account         bigint   NOT NULL,
        asset           bigint   NOT NULL,
        recorded_at     bigint   NOT NULL,
        since           bigint,                      -- NULL = from then on it owes nothing
        PRIMARY KEY (tenant, shard, account, asset, recorded_at)
    );

    CREATE TABLE accounts (
        tenant      int    NOT NULL,
        shard       int    NOT NULL,
        account     bigint NOT NULL,                 -- its name stands in account_directory only
        parent      bigint,
        root        bigint NOT NULL,
        policy      jsonb  NOT NULL,
        version     bigint NOT NULL,
        created_at  bigint NOT NULL,
        closed_at   bigint,                          -- NULL = open
        reopened_at bigint,                          -- last; NULL = never
        frozen_at   bigint,                          -- itself; what is below is frozen with it
        profile_version bigint NOT NULL,             -- of display name and metadata, in the directory
        PRIMARY KEY (tenant, shard, account)
    );

    -- Every version of every account's policy.
    CREATE TABLE account_policies (
        tenant       int    NOT NULL,
        shard        int    NOT NULL,
        account      bigint NOT NULL,
        version      bigint NOT NULL,
        policy       jsonb  NOT NULL,
        recorded_at  bigint NOT NULL,                -- in force from then on
        PRIMARY KEY (tenant, shard, account, version)
    );

    -- What was issued, and how it ended; what is drawn and held stands in the grant's book.
    CREATE TABLE grants (
        tenant        int      NOT NULL,
        shard         int      NOT NULL,
        number        bigint   NOT NULL,
        account       bigint   NOT NULL,
        ordinal       bigint   NOT NULL,
        kind          smallint NOT NULL CHECK (kind >= 1),             -- core's GrantKind
        state         smallint NOT NULL CHECK (state >= 0),            -- open, voided, expired, cancelled
        asset         bigint   NOT NULL,
        amount        bigint   NOT NULL CHECK (amount > 0),
        price_paid    bigint   NOT NULL CHECK (price_paid >= 0),
        price_asset   bigint   NOT NULL,
        priority      bigint   NOT NULL,
        effective_at  bigint   NOT NULL,
        expires_at    bigint,                        -- NULL = never
        products      text[]   NOT NULL,             -- with tags: empty = every product
        tags          text[]   NOT NULL,
        attributes    jsonb    NOT NULL,             -- that the usage must bear
        shared        boolean  NOT NULL,             -- with the account's subtree
        rollover      jsonb,
        metadata      jsonb    NOT NULL,
        book          bigint   NOT NULL,
        funding_book  bigint   NOT NULL,
        cash_book     bigint,                        -- where its price came from
        deferred_book bigint,                        -- NULL = it has no money side
        origin        bigint,                        -- the grant that it was part of
        backfill      bigint   NOT NULL,
        voided        bigint   NOT NULL CHECK (voided >= 0),
        expired       bigint   NOT NULL CHECK (expired >= 0),
        rolled        bigint   NOT NULL CHECK (rolled >= 0),
        cancelled     bigint   NOT NULL CHECK (cancelled >= 0),
        given_back    bigint   NOT NULL CHECK (given_back >= 0),  -- drawn, and back by reversals
        returned      bigint   NOT NULL CHECK (returned >= 0),  -- money that left undrawn
        issued_at     bigint   NOT NULL,
        settled_at    bigint,
        PRIMARY KEY (tenant, shard, number)
    );
    CREATE INDEX grants_account ON grants (tenant, account, number);

    -- What accounts are granted every period (rules T1, S1), as it stands.
    CREATE TABLE recurring_grants (
        tenant        int     NOT NULL,
        shard         int     NOT NULL,
        number        bigint  NOT NULL,
        account       bigint  NOT NULL,
        paused        boolean NOT NULL,
        version       bigint  NOT NULL,              -- of the newest terms
        terms         jsonb   NOT NULL,
        next_terms    jsonb,                         -- from the next period on
        starts_at     bigint  NOT NULL,
        ends_at       bigint,                        -- NULL = it goes on
        next_at       bigint  NOT NULL,              -- where the next period begins, if it runs
        period_start  bigint,                        -- of the last period that was issued
        period_end    bigint,
        created_at    bigint  NOT NULL,
        PRIMARY KEY (tenant, shard, number)
    ) WITH (fillfactor = 80);
    CREATE INDEX recurring_grants_account ON recurring_grants (tenant, account, number);

    -- What they issued: one row a period, once, and one for what a change added within it.
    CREATE TABLE recurring_issues (
        tenant        int      NOT NULL,
        shard         int      NOT NULL,
        entry_seq     bigint   NOT NULL,
        recurring     bigint   NOT NULL,
        cause         smallint NOT NULL CHECK (cause IN (1, 2)),       -- period, change
        version       bigint   NOT NULL,             -- of the terms
        period_start  bigint   NOT NULL,
        period_end    bigint   NOT NULL,
        remaining     bigint   NOT NULL CHECK (remaining >= 0),
        whole         bigint   NOT NULL CHECK (whole >= remaining),
        grant_number  bigint,                        -- NULL = the share rounds to nothing
        amount        bigint   NOT NULL CHECK (amount >= 0),
        price_paid    bigint   NOT NULL CHECK (price_paid >= 0),
        recorded_at   bigint   NOT NULL,
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE UNIQUE INDEX recurring_issues_period ON recurring_issues
        (tenant, shard, recurring, period_start) WHERE cause = 1;
    CREATE INDEX recurring_issues_grant ON recurring_issues (tenant, shard, grant_number);

    -- What accounts are committed to (rule D7); segments are grants, invoices stand apart.
    CREATE TABLE commitments (
        tenant        int     NOT NULL,
        shard         int     NOT NULL,
        number        bigint  NOT NULL,
        account       bigint  NOT NULL,
        terms         jsonb   NOT NULL,
        created_at    bigint  NOT NULL,
        PRIMARY KEY (tenant, shard, number)
    );
    CREATE INDEX commitments_account ON commitments (tenant, account, number);

    CREATE TABLE commitment_segments (
        tenant        int     NOT NULL,
        shard         int     NOT NULL,
        commitment    bigint  NOT NULL,
        grant_number  bigint  NOT NULL,
        starts_at     bigint  NOT NULL,
        ends_at       bigint  NOT NULL CHECK (ends_at > starts_at),
        amount        bigint  NOT NULL CHECK (amount > 0),
        price         bigint  NOT NULL CHECK (price >= 0), -- of the whole amount
        moved_from    bigint,                        -- the grant whose rest it is, by a transfer
        recorded_at   bigint  NOT NULL,
        PRIMARY KEY (tenant, shard, grant_number)
    );
    CREATE INDEX commitment_segments_of ON commitment_segments (tenant, shard, commitment);

    -- What is to be invoiced, and when.
    CREATE TABLE commitment_invoices (
        tenant        int     NOT NULL,
        shard         int     NOT NULL,
        entry_seq     bigint  NOT NULL,              -- of the entry that planned it
        line          int     NOT NULL,
        commitment    bigint  NOT NULL,
        due_at        bigint  NOT NULL,
        amount        bigint  NOT NULL CHECK (amount > 0),
        PRIMARY KEY (tenant, shard, entry_seq, line)
    );
    CREATE INDEX commitment_invoices_of ON commitment_invoices (tenant, shard, commitment);

    -- What was invoiced, and early ends.
    CREATE TABLE commitment_entries (
        tenant        int      NOT NULL,
        shard         int      NOT NULL,
        entry_seq     bigint   NOT NULL,
        commitment    bigint   NOT NULL,
        kind          smallint NOT NULL CHECK (kind IN (1, 2)),        -- invoiced, ended
        ending        smallint,                      -- core's CommitmentEnding; NULL = invoiced
        target        bigint,                        -- the commitment that took the rest
        due_at        bigint,                        -- of the invoice
        amount        bigint   NOT NULL CHECK (amount >= 0),  -- money invoiced, trued up or moved
        recorded_at   bigint   NOT NULL,
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE INDEX commitment_entries_of ON commitment_entries (tenant, shard, commitment);

    -- What accounts buy by themselves (rule H6): each version of a rule; the newest row of an account
    -- and asset is the one in force.
    CREATE TABLE top_up_rules (
        tenant        int     NOT NULL,
        shard         int     NOT NULL,
        entry_seq     bigint  NOT NULL,
        account       bigint  NOT NULL,
        asset         bigint  NOT NULL,
        version       bigint,                        -- NULL = it was removed, as is its rule
        rule          jsonb,
        recorded_at   bigint  NOT NULL,
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE INDEX top_up_rules_account ON top_up_rules (tenant, account, asset, entry_seq);

    -- Charges that rules asked for, and what became of them.
    CREATE TABLE top_ups (
        tenant        int      NOT NULL,
        shard         int      NOT NULL,
        number        bigint   NOT NULL,
        account       bigint   NOT NULL,
        state         smallint NOT NULL CHECK (state BETWEEN 1 AND 4),  -- pending, confirmed, declined, expired
        asset         bigint   NOT NULL,
        amount        bigint   NOT NULL CHECK (amount > 0),
        price_paid    bigint   NOT NULL CHECK (price_paid > 0),
        price_asset   bigint   NOT NULL,
        source        text     NOT NULL,
        version       bigint   NOT NULL,             -- of the rule
        available     numeric  NOT NULL,             -- when it was asked for
        requested_at  bigint   NOT NULL,
        expires_at    bigint   NOT NULL,
        settled_at    bigint,
        grant_number  bigint,                        -- that it was confirmed by
        PRIMARY KEY (tenant, shard, number)
    ) WITH (fillfactor = 80);
    CREATE INDEX top_ups_account ON top_ups (tenant, account, number);
    CREATE INDEX top_ups_pending ON top_ups (tenant, requested_at) WHERE state = 1;

    -- Holds; their slices are the pending lines of entry `entry_seq`.
    CREATE TABLE holds (
        tenant         int      NOT NULL,
        shard          int      NOT NULL,
        number         bigint   NOT NULL,
        entry_seq      bigint   NOT NULL,
        account        bigint   NOT NULL,
        plan           uuid     NOT NULL,
        asset          bigint   NOT NULL,
        amount         bigint   NOT NULL CHECK (amount >= 0),
        state          smallint NOT NULL CHECK (state BETWEEN 0 AND 4),
                                                     -- open, captured, released, expired, charged
        quantities     bigint[] NOT NULL,
        authorized_at  bigint   NOT NULL,
        expires_at     bigint   NOT NULL,
        lifetime_max   bigint   NOT NULL,            -- from authorized_at, extensions included
        expiry         smallint NOT NULL CHECK (expiry >= 1),            -- core's HoldExpiry
        period         bigint   NOT NULL,            -- in which its overage counts
        captured       bigint   NOT NULL CHECK (captured BETWEEN 0 AND amount),
        captures       int      NOT NULL CHECK (captures >= 0),
        reserved       bigint[],                     -- left of each slice; NULL = as authorised
        settled_at     bigint,
        settled_by     bigint,                       -- entry_seq
        trace          bytea,
        PRIMARY KEY (tenant, shard, number)
    ) WITH (fillfactor = 80);
    CREATE INDEX holds_open ON holds (tenant, account, number) WHERE state = 0;

    -- Authorisations that were denied (rule I2).
    CREATE TABLE denials (
        tenant       int      NOT NULL,
        shard        int      NOT NULL,
        entry_seq    bigint   NOT NULL,
        account      bigint   NOT NULL,
        plan         uuid     NOT NULL,
        asset        bigint   NOT NULL,
        quantities   bigint[] NOT NULL,
        charge       bigint   NOT NULL,
        available    numeric  NOT NULL,
        reason       text     NOT NULL,
        recorded_at  bigint   NOT NULL,
        trace        bytea,
        PRIMARY KEY (tenant, shard, entry_seq)
    );

    -- Usage with what its plan says; `slices` costs nothing where it is not asked for.
    CREATE VIEW usage AS
    SELECT u.tenant, u.shard, u.entry_seq, u.account, u.asset, u.effective_at, u.recorded_at,
           u.outcome, u.reason, u.late, u.by_expiry, p.product, p.attributes, p.quantity_names, u.quantities,
           u.charges, u.charge, p.rate_card, p.card_version, p.price_rows, u.over_limit, u.hold,
           u.source, u.event_id, u.operation, u.operation_parent, u.personal, u.trace,
           (SELECT jsonb_agg(jsonb_build_object('pot', t.pot, 'book', t.debit_book,
                       'amount', t.amount, 'value', t.value, 'cost', t.cost) ORDER BY t.line)
            FROM transfers t
            WHERE t.tenant = u.tenant AND t.shard = u.shard AND t.entry_seq = u.entry_seq
              AND t.phase = 2 AND t.pot > 0) AS slices
    FROM usage_events u JOIN plans p USING (tenant, shard, plan);

    -- Quantities that wait for a price (rule B8).
    CREATE VIEW suspense AS
    SELECT u.tenant, u.shard, u.entry_seq, u.account, p.product, p.quantity_names[i] AS quantity_name,
           u.quantities[i] AS quantity, u.reason, u.effective_at, u.recorded_at
    FROM usage_events u JOIN plans p USING (tenant, shard, plan),
         generate_subscripts(u.charges, 1) i
    WHERE u.outcome > 1 AND u.outcome = 2 AND u.charges[i] IS NULL;

    -- Grants with what is drawn, held and left (rules B3, B4, B6).
    CREATE VIEW grant_balances AS
    SELECT g.*, d.drawn, b.debits_pending AS held,
           b.credits_posted - b.debits_posted - b.debits_pending AS remaining,
           b.value AS recognised,
           (SELECT i.recurring FROM recurring_issues i
            WHERE i.tenant = g.tenant AND i.shard = g.shard AND i.grant_number = g.number
           ) AS recurring,
           (SELECT s.commitment FROM commitment_segments s
            WHERE s.tenant = g.tenant AND s.shard = g.shard AND s.grant_number = g.number
           ) AS commitment
    FROM grants g JOIN books b USING (tenant, shard, book),
         LATERAL (SELECT b.debits_posted - g.voided - g.expired - g.rolled - g.given_back
                         AS drawn) d;

    -- Debits and credits by kind of book (rule B7), with the position that each shard stands at.
    CREATE VIEW trial_balance AS
    SELECT b.tenant, b.asset, b.kind, b.name, b.shard, c.entries,
           sum(b.debits_posted) AS debits_posted, sum(b.credits_posted) AS credits_posted,
           sum(b.debits_pending) AS debits_pending, sum(b.credits_pending) AS credits_pending
    FROM books b JOIN checkpoint c USING (shard)
    GROUP BY b.tenant, b.asset, b.kind, b.name, b.shard, c.entries;

    PERFORM set_config('search_path', before, true);
    PERFORM ledger.grant_projection(name);
END $$;

CREATE FUNCTION ledger.create_projection_without_usage_hours(name text) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    before text := current_setting('search_path');
BEGIN
    PERFORM ledger.create_projection_without_sizing(name);
    PERFORM set_config('search_path', format('%I', name), true);

    -- One row a hold and quantity that was learned, or was to be.
    CREATE TABLE hold_sizes (
        tenant        int      NOT NULL,
        shard         int      NOT NULL,
        hold          bigint   NOT NULL,
        account       bigint   NOT NULL,
        plan          uuid     NOT NULL,
        quantity      text     NOT NULL,
        asked         bigint   NOT NULL,
        held          bigint   NOT NULL,
        learned_of    smallint NOT NULL,             -- core's SizedBy
        permille      int      NOT NULL,
        observations  bigint   NOT NULL,
        value         bigint   NOT NULL,             -- the quantile; 0 where nothing was learned
        recorded_at   bigint   NOT NULL,
        PRIMARY KEY (tenant, shard, hold, quantity)
    );
    CREATE INDEX hold_sizes_time ON hold_sizes (tenant, recorded_at);

    -- How far usage of a product was learned from, told apart by these attributes. Not filled by the
    -- projector: whoever learns does, from the tables here; a row is the lock of that work.
    CREATE TABLE sizing_progress (
        tenant      int    NOT NULL,
        shard       int    NOT NULL,
        product     text   NOT NULL,
        attributes  text[] NOT NULL,
        entries     bigint NOT NULL,                 -- = the entry_seq that is looked at next
        PRIMARY KEY (tenant, shard, product, attributes)
    );

    -- Sketches of quantities: of one account (0 = all of the tenant's) with these values of the
    -- attributes (none = whatever they are), of what was recorded in one fortnight.
    CREATE TABLE sizing_sketches (
        tenant        int    NOT NULL,
        shard         int    NOT NULL,
        product       text   NOT NULL,
        attributes    text[] NOT NULL,
        attr_values   text[] NOT NULL,
        account       bigint NOT NULL,
        quantity      text   NOT NULL,
        fortnight     int    NOT NULL,
        observations  bigint NOT NULL,
        last_entry    bigint NOT NULL,
        sketch        bytea  NOT NULL,
        PRIMARY KEY (tenant, product, attributes, attr_values, account, quantity, fortnight, shard)
    );
    CREATE INDEX sizing_sketches_oldest ON sizing_sketches (tenant, shard, last_entry);

    PERFORM set_config('search_path', before, true);
    PERFORM ledger.grant_projection(name);
END $$;

CREATE FUNCTION ledger.create_seats(name text) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    before text := current_setting('search_path');
BEGIN
    PERFORM set_config('search_path', format('%I', name), true);

    -- What became of a plan of an account, entry by entry (rules S1, S2).
    CREATE TABLE seat_plan_entries (
        tenant        int      NOT NULL,
        shard         int      NOT NULL,
        entry_seq     bigint   NOT NULL,
        account       bigint   NOT NULL,
        plan          text     NOT NULL,
        change        smallint NOT NULL,     -- 1 started, 2 added, 3 removed, 4 reassigned,
                                             -- 5 suspended, 6 resumed, 7 period, 8 ended
        terms         jsonb,                 -- where it started
        period_start  bigint,                -- where a period began
        period_end    bigint,
        unassigned    bigint,                -- seats of a pool; NULL where they stay
        leaving       bigint,                -- of a pool, unassigned, with the period
        largest       bigint,                -- quantity of the period
        released      bigint,                -- units of the period
        mode          smallint,              -- 1 kept, 2 forfeited, 3 prorated; of what was removed
        taken         bigint,                -- units that were taken back
        ends_at       bigint,                -- where it ended
        version       bigint,                -- NULL where a period began
        recorded_at   bigint   NOT NULL,
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE INDEX seat_plan_entries_account ON seat_plan_entries (tenant, account, plan, entry_seq);

    -- Seats as they are from an entry on.
    CREATE TABLE seat_entries (
        tenant        int      NOT NULL,
        shard         int      NOT NULL,
        entry_seq     bigint   NOT NULL,
        account       bigint   NOT NULL,
        plan          text     NOT NULL,
        seat          bigint   NOT NULL,     -- number in its plan
        name          text     NOT NULL,     -- '' = unassigned
        until         bigint,                -- it is there before then; NULL = it stays
        suspended     boolean  NOT NULL,
        entitled      bigint   NOT NULL,     -- units of the period by its time; 0 in a pool
        released      bigint   NOT NULL,
        recorded_at   bigint   NOT NULL,
        PRIMARY KEY (tenant, shard, entry_seq, seat)
    );
    CREATE INDEX seat_entries_account ON seat_entries (tenant, account, plan, seat, entry_seq);

    -- What seats were granted: which grant, and how much; seat 0 = the pool.
    CREATE TABLE seat_issues (
        tenant        int      NOT NULL,
        shard         int      NOT NULL,
        entry_seq     bigint   NOT NULL,
        account       bigint   NOT NULL,
        plan          text     NOT NULL,
        seat          bigint   NOT NULL,
        grant_number  bigint   NOT NULL,
        amount        bigint   NOT NULL,
        price_paid    bigint   NOT NULL,
        PRIMARY KEY (tenant, shard, entry_seq, grant_number)
    );
    CREATE INDEX seat_issues_account ON seat_issues (tenant, account, plan, seat, entry_seq);
    CREATE INDEX seat_issues_grant ON seat_issues (tenant, shard, grant_number);

    -- Seats of which was told that little is left of their allowance.
    CREATE TABLE seat_alerts (
        tenant        int      NOT NULL,
        shard         int      NOT NULL,
        entry_seq     bigint   NOT NULL,
        account       bigint   NOT NULL,
        plan          text     NOT NULL,
        seat          bigint   NOT NULL,
        name          text     NOT NULL,
        units_left    bigint   NOT NULL,
        entitled      bigint   NOT NULL,
        recorded_at   bigint   NOT NULL,
        PRIMARY KEY (tenant, shard, entry_seq)
    );
    CREATE INDEX seat_alerts_account ON seat_alerts (tenant, account, entry_seq);

    -- The plans as they are.
    CREATE VIEW seat_plans AS
    SELECT t.tenant, t.shard, t.account, t.plan, t.terms, p.period_start, p.period_end,
           q.unassigned, q.leaving, q.largest, q.released,
           CASE WHEN l.entry_seq > t.entry_seq THEN l.ends_at END AS ends_at,
           v.version, v.entry_seq AS last_entry_seq
    FROM (
        SELECT DISTINCT ON (tenant, account, plan) *
        FROM seat_plan_entries WHERE change = 1 ORDER BY tenant, account, plan, entry_seq DESC
    ) t JOIN (
        SELECT DISTINCT ON (tenant, account, plan) *
        FROM seat_plan_entries WHERE change IN (1, 7)
        ORDER BY tenant, account, plan, entry_seq DESC
    ) p USING (tenant, account, plan) JOIN (
        SELECT DISTINCT ON (tenant, account, plan) *
        FROM seat_plan_entries WHERE largest IS NOT NULL
        ORDER BY tenant, account, plan, entry_seq DESC
    ) q USING (tenant, account, plan) JOIN (
        SELECT DISTINCT ON (tenant, account, plan) *
        FROM seat_plan_entries WHERE version IS NOT NULL
        ORDER BY tenant, account, plan, entry_seq DESC
    ) v USING (tenant, account, plan) LEFT JOIN (
        SELECT DISTINCT ON (tenant, account, plan) *
        FROM seat_plan_entries WHERE change = 8 ORDER BY tenant, account, plan, entry_seq DESC
    ) l USING (tenant, account, plan);

    -- The seats of each plan as they are; one that leaves with its plan leaves then.
    CREATE VIEW seats AS
    SELECT s.tenant, s.shard, s.account, s.plan, s.seat, s.name,
           LEAST(s.until, (
               SELECT min(e.ends_at) FROM seat_plan_entries e
               WHERE e.tenant = s.tenant AND e.account = s.account AND e.plan = s.plan
                 AND e.change = 8 AND e.entry_seq > s.entry_seq
           )) AS until,
           s.suspended, s.entitled, s.released
    FROM (
        SELECT DISTINCT ON (tenant, account, plan, seat) *
        FROM seat_entries ORDER BY tenant, account, plan, seat, entry_seq DESC
    ) s;

    PERFORM set_config('search_path', before, true);
END $$;

CREATE FUNCTION ledger.create_shared_rerates(name text) RETURNS void
    LANGUAGE plpgsql
    AS $$
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
END $$;

CREATE FUNCTION ledger.create_statements(name text) RETURNS void
    LANGUAGE plpgsql
    AS $$
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
END $$;

CREATE FUNCTION ledger.ensure_partitions(through bigint) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    parent     text;
    part       text;
    ordinal    bigint;
BEGIN
    IF through > ledger.journal_capacity() + 100000000 THEN
        RAISE EXCEPTION 'batch % is more than 100 partitions ahead of %',
            through, ledger.journal_capacity() USING ERRCODE = 'program_limit_exceeded';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('ledger.ensure_partitions', 0));
    WHILE ledger.journal_capacity() < through LOOP
        ordinal := (ledger.journal_capacity() + 1) / 1000000;
        FOREACH parent IN ARRAY ARRAY['journal_private', 'journal'] LOOP
            part := format('%s_p%s', parent, lpad(ordinal::text, 6, '0'));
            EXECUTE format('CREATE TABLE ledger.%I (LIKE ledger.%I INCLUDING ALL)', part, parent);
            EXECUTE format(
                'ALTER TABLE ledger.%I ATTACH PARTITION ledger.%I FOR VALUES FROM (%s) TO (%s)',
                parent, part, ordinal * 1000000, (ordinal + 1) * 1000000);
        END LOOP;
        PERFORM ledger.make_append_only(format('ledger.%I', part)::regclass);
    END LOOP;
    RETURN ledger.journal_capacity();
END $$;

CREATE FUNCTION ledger.grant_projection(name text) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'drawdown_app') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO drawdown_app', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I '
                       'TO drawdown_app', name);
    END IF;
END $$;

CREATE FUNCTION ledger.journal_capacity() RETURNS bigint
    LANGUAGE sql STABLE
    AS $_$
    SELECT coalesce(max(substring(c.relname FROM 'journal_p(\d+)$')::bigint + 1), 0) * 1000000 - 1
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'ledger.journal'::regclass
$_$;

CREATE FUNCTION ledger.lateness(effective_at bigint, recorded_at bigint) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN width_bucket(((recorded_at - effective_at) - 1), '{1000000,8000000,64000000,512000000,4096000000,32768000000,262144000000,2097152000000,16777216000000}'::bigint[]);

CREATE FUNCTION ledger.make_append_only(target regclass) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %s '
                   'FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change()', target);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER append_only', target);
END $$;

CREATE FUNCTION ledger.note_directory_change(in_tenant integer, in_alias text, in_account bigint) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    next_version bigint;
BEGIN
    UPDATE ledger.directory_version SET version = version + 1 RETURNING version INTO next_version;
    DELETE FROM ledger.directory_change WHERE changed_at < now() - interval '1 minute';
    INSERT INTO ledger.directory_change (version, tenant, alias, account)
    VALUES (next_version, in_tenant, in_alias, in_account);
END $$;

CREATE FUNCTION ledger.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION '% on %.% is refused: it is append-only', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege',
              HINT = 'Corrections are new entries. Archive whole partitions by detaching them.';
END $$;

CREATE TABLE ledger.account_alias (
    tenant integer NOT NULL,
    alias text NOT NULL COLLATE pg_catalog."C",
    effective_from bigint NOT NULL,
    effective_to bigint,
    kind smallint DEFAULT 1 NOT NULL,
    account bigint NOT NULL,
    seat text,
    mandate text,
    seat_attribute text COLLATE pg_catalog."C",
    CONSTRAINT account_alias_alias_check CHECK (((octet_length(alias) >= 1) AND (octet_length(alias) <= 128))),
    CONSTRAINT account_alias_check CHECK ((effective_to > effective_from)),
    CONSTRAINT account_alias_kind_check CHECK ((kind = 1)),
    CONSTRAINT account_alias_seat CHECK ((((seat IS NULL) = (seat_attribute IS NULL)) AND ((octet_length(seat) >= 1) AND (octet_length(seat) <= 128)))),
    CONSTRAINT account_alias_seat_attribute_check CHECK (((octet_length(seat_attribute) >= 1) AND (octet_length(seat_attribute) <= 64)))
);

CREATE TABLE ledger.account_directory (
    tenant integer NOT NULL,
    account_id text NOT NULL COLLATE pg_catalog."C",
    number bigint NOT NULL,
    parent bigint,
    root bigint NOT NULL,
    shard integer NOT NULL,
    family_key bytea,
    state smallint NOT NULL,
    display_name text DEFAULT ''::text NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    blanked_at timestamp with time zone,
    profile_version bigint DEFAULT 0 NOT NULL,
    erased_at timestamp with time zone,
    opened_under bigint,
    place_version bigint DEFAULT 1 NOT NULL,
    CONSTRAINT account_directory_account_id_check CHECK (((octet_length(account_id) >= 1) AND (octet_length(account_id) <= 128))),
    CONSTRAINT account_directory_family_key_check CHECK ((octet_length(family_key) = 32)),
    CONSTRAINT account_directory_shard_check CHECK ((shard >= 0)),
    CONSTRAINT account_directory_state_check CHECK ((state = ANY (ARRAY[1, 2, 3]))),
    CONSTRAINT erased_has_time CHECK (((state <> 3) OR (erased_at IS NOT NULL))),
    CONSTRAINT key_stands_at_root CHECK (((family_key IS NULL) OR (root = number))),
    CONSTRAINT root_has_no_parent CHECK (((parent IS NULL) = (root = number)))
);

ALTER TABLE ledger.account_directory ALTER COLUMN number ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME ledger.account_number
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE ledger.api_key (
    id text NOT NULL COLLATE pg_catalog."C",
    digest bytea NOT NULL,
    tenant integer,
    accounts bigint[] DEFAULT '{}'::bigint[] NOT NULL,
    scopes text[] NOT NULL,
    label text DEFAULT ''::text NOT NULL,
    issued_at bigint NOT NULL,
    issued_by text NOT NULL,
    expires_at bigint DEFAULT 0 NOT NULL,
    CONSTRAINT api_key_check CHECK (((tenant IS NOT NULL) OR (cardinality(accounts) = 0))),
    CONSTRAINT api_key_digest_check CHECK ((octet_length(digest) = 32)),
    CONSTRAINT api_key_id_check CHECK ((id ~ '^[0-9a-f]{16}$'::text)),
    CONSTRAINT api_key_issued_by_check CHECK (((octet_length(issued_by) >= 1) AND (octet_length(issued_by) <= 256))),
    CONSTRAINT api_key_label_check CHECK ((octet_length(label) <= 128)),
    CONSTRAINT api_key_scopes_check CHECK ((cardinality(scopes) >= 1))
);

CREATE TABLE ledger.api_key_revocation (
    id text NOT NULL COLLATE pg_catalog."C",
    revoked_at bigint NOT NULL,
    revoked_by text NOT NULL,
    CONSTRAINT api_key_revocation_revoked_by_check CHECK (((octet_length(revoked_by) >= 1) AND (octet_length(revoked_by) <= 256)))
);

CREATE TABLE ledger.change_asked (
    number bigint NOT NULL,
    asked_at bigint NOT NULL,
    actor text NOT NULL,
    method text NOT NULL,
    tenant integer NOT NULL,
    account bigint DEFAULT 0 NOT NULL,
    name text DEFAULT ''::text NOT NULL,
    CONSTRAINT change_asked_actor_check CHECK (((octet_length(actor) >= 1) AND (octet_length(actor) <= 256)))
);

ALTER TABLE ledger.change_asked ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME ledger.change_asked_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE ledger.checkpoint (
    shard integer NOT NULL,
    epoch bigint NOT NULL,
    batch_seq bigint DEFAULT 0 NOT NULL,
    hash bytea DEFAULT decode(repeat('00'::text, 32), 'hex'::text) NOT NULL,
    entry_seq bigint DEFAULT 0 NOT NULL,
    recorded_at bigint DEFAULT 0 NOT NULL,
    format smallint DEFAULT 1 NOT NULL,
    body bytea DEFAULT '\x'::bytea NOT NULL,
    CONSTRAINT checkpoint_batch_seq_check CHECK ((batch_seq >= 0)),
    CONSTRAINT checkpoint_entry_seq_check CHECK ((entry_seq >= 0)),
    CONSTRAINT checkpoint_epoch_check CHECK ((epoch >= 1)),
    CONSTRAINT checkpoint_format_check CHECK ((format >= 1)),
    CONSTRAINT checkpoint_hash_check CHECK ((octet_length(hash) = 32)),
    CONSTRAINT checkpoint_shard_check CHECK ((shard >= 0))
);

CREATE TABLE ledger.checkpoint_family (
    shard integer NOT NULL,
    root bigint NOT NULL,
    accounts bytea NOT NULL,
    due bigint NOT NULL,
    format smallint NOT NULL,
    body bytea NOT NULL,
    tenant integer DEFAULT 0 NOT NULL,
    CONSTRAINT checkpoint_family_accounts_check CHECK (((octet_length(accounts) % 8) = 0)),
    CONSTRAINT checkpoint_family_format_check CHECK ((format >= 1)),
    CONSTRAINT checkpoint_family_tenant_check CHECK ((tenant >= 0))
);

CREATE TABLE ledger.configuration (
    tenant integer NOT NULL,
    version bigint NOT NULL,
    kind smallint NOT NULL,
    name text NOT NULL COLLATE pg_catalog."C",
    content_hash bytea NOT NULL,
    published_at bigint NOT NULL,
    effective_from bigint NOT NULL,
    CONSTRAINT configuration_kind_check CHECK (((kind >= 1) AND (kind <= 9))),
    CONSTRAINT configuration_name_check CHECK (((octet_length(name) >= 1) AND (octet_length(name) <= 128))),
    CONSTRAINT configuration_version_check CHECK ((version >= 1))
);

CREATE TABLE ledger.configuration_blob (
    hash bytea NOT NULL,
    body bytea NOT NULL,
    CONSTRAINT configuration_blob_hash_check CHECK ((octet_length(hash) = 32))
);

CREATE TABLE ledger.directory_change (
    version bigint NOT NULL,
    tenant integer NOT NULL,
    alias text COLLATE pg_catalog."C",
    account bigint NOT NULL,
    changed_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE ledger.directory_version (
    only_row boolean DEFAULT true NOT NULL,
    version bigint NOT NULL,
    CONSTRAINT directory_version_only_row_check CHECK (only_row)
)
WITH (fillfactor='50');

CREATE TABLE ledger.family_placement (
    tenant integer NOT NULL,
    root text NOT NULL COLLATE pg_catalog."C",
    shard integer NOT NULL,
    CONSTRAINT family_placement_root_check CHECK (((octet_length(root) >= 1) AND (octet_length(root) <= 128))),
    CONSTRAINT family_placement_shard_check CHECK ((shard >= 0))
);

CREATE TABLE ledger.gateway_key (
    number integer NOT NULL,
    secret bytea NOT NULL,
    made_at bigint NOT NULL,
    made_by text NOT NULL,
    before_until bigint NOT NULL,
    CONSTRAINT gateway_key_made_by_check CHECK (((octet_length(made_by) >= 1) AND (octet_length(made_by) <= 256))),
    CONSTRAINT gateway_key_number_check CHECK ((number >= 1)),
    CONSTRAINT gateway_key_secret_check CHECK ((octet_length(secret) = 32))
);

CREATE TABLE ledger.journal (
    shard integer NOT NULL,
    batch_seq bigint NOT NULL,
    recorded_at bigint NOT NULL,
    first_event bigint NOT NULL,
    event_count integer NOT NULL,
    format smallint NOT NULL,
    codec smallint NOT NULL,
    prev_hash bytea NOT NULL,
    hash bytea NOT NULL,
    payload bytea NOT NULL,
    CONSTRAINT journal_batch_seq_check CHECK ((batch_seq >= 1)),
    CONSTRAINT journal_codec_check CHECK ((codec >= 1)),
    CONSTRAINT journal_event_count_check CHECK ((event_count >= 1)),
    CONSTRAINT journal_first_event_check CHECK ((first_event >= 0)),
    CONSTRAINT journal_format_check CHECK ((format >= 1)),
    CONSTRAINT journal_genesis CHECK (((batch_seq > 1) OR (prev_hash = decode(repeat('00'::text, 32), 'hex'::text)))),
    CONSTRAINT journal_hash_check CHECK ((octet_length(hash) = 32)),
    CONSTRAINT journal_prev_hash_check CHECK ((octet_length(prev_hash) = 32)),
    CONSTRAINT journal_shard_check CHECK ((shard >= 0))
)
PARTITION BY RANGE (batch_seq);
ALTER TABLE ONLY ledger.journal ALTER COLUMN payload SET STORAGE EXTERNAL;

CREATE TABLE ledger.journal_p000000 (
    shard integer CONSTRAINT journal_shard_not_null NOT NULL,
    batch_seq bigint CONSTRAINT journal_batch_seq_not_null NOT NULL,
    recorded_at bigint CONSTRAINT journal_recorded_at_not_null NOT NULL,
    first_event bigint CONSTRAINT journal_first_event_not_null NOT NULL,
    event_count integer CONSTRAINT journal_event_count_not_null NOT NULL,
    format smallint CONSTRAINT journal_format_not_null NOT NULL,
    codec smallint CONSTRAINT journal_codec_not_null NOT NULL,
    prev_hash bytea CONSTRAINT journal_prev_hash_not_null NOT NULL,
    hash bytea CONSTRAINT journal_hash_not_null NOT NULL,
    payload bytea CONSTRAINT journal_payload_not_null NOT NULL,
    CONSTRAINT journal_batch_seq_check CHECK ((batch_seq >= 1)),
    CONSTRAINT journal_codec_check CHECK ((codec >= 1)),
    CONSTRAINT journal_event_count_check CHECK ((event_count >= 1)),
    CONSTRAINT journal_first_event_check CHECK ((first_event >= 0)),
    CONSTRAINT journal_format_check CHECK ((format >= 1)),
    CONSTRAINT journal_genesis CHECK (((batch_seq > 1) OR (prev_hash = decode(repeat('00'::text, 32), 'hex'::text)))),
    CONSTRAINT journal_hash_check CHECK ((octet_length(hash) = 32)),
    CONSTRAINT journal_prev_hash_check CHECK ((octet_length(prev_hash) = 32)),
    CONSTRAINT journal_shard_check CHECK ((shard >= 0))
);
ALTER TABLE ONLY ledger.journal_p000000 ALTER COLUMN payload SET STORAGE EXTERNAL;

CREATE TABLE ledger.journal_p000001 (
    shard integer CONSTRAINT journal_shard_not_null NOT NULL,
    batch_seq bigint CONSTRAINT journal_batch_seq_not_null NOT NULL,
    recorded_at bigint CONSTRAINT journal_recorded_at_not_null NOT NULL,
    first_event bigint CONSTRAINT journal_first_event_not_null NOT NULL,
    event_count integer CONSTRAINT journal_event_count_not_null NOT NULL,
    format smallint CONSTRAINT journal_format_not_null NOT NULL,
    codec smallint CONSTRAINT journal_codec_not_null NOT NULL,
    prev_hash bytea CONSTRAINT journal_prev_hash_not_null NOT NULL,
    hash bytea CONSTRAINT journal_hash_not_null NOT NULL,
    payload bytea CONSTRAINT journal_payload_not_null NOT NULL,
    CONSTRAINT journal_batch_seq_check CHECK ((batch_seq >= 1)),
    CONSTRAINT journal_codec_check CHECK ((codec >= 1)),
    CONSTRAINT journal_event_count_check CHECK ((event_count >= 1)),
    CONSTRAINT journal_first_event_check CHECK ((first_event >= 0)),
    CONSTRAINT journal_format_check CHECK ((format >= 1)),
    CONSTRAINT journal_genesis CHECK (((batch_seq > 1) OR (prev_hash = decode(repeat('00'::text, 32), 'hex'::text)))),
    CONSTRAINT journal_hash_check CHECK ((octet_length(hash) = 32)),
    CONSTRAINT journal_prev_hash_check CHECK ((octet_length(prev_hash) = 32)),
    CONSTRAINT journal_shard_check CHECK ((shard >= 0))
);
ALTER TABLE ONLY ledger.journal_p000001 ALTER COLUMN payload SET STORAGE EXTERNAL;

CREATE TABLE ledger.journal_private (
    shard integer NOT NULL,
    batch_seq bigint NOT NULL,
    records bytea NOT NULL
)
PARTITION BY RANGE (batch_seq);
ALTER TABLE ONLY ledger.journal_private ALTER COLUMN records SET STORAGE EXTERNAL;

CREATE TABLE ledger.journal_private_p000000 (
    shard integer CONSTRAINT journal_private_shard_not_null NOT NULL,
    batch_seq bigint CONSTRAINT journal_private_batch_seq_not_null NOT NULL,
    records bytea CONSTRAINT journal_private_records_not_null NOT NULL
);
ALTER TABLE ONLY ledger.journal_private_p000000 ALTER COLUMN records SET STORAGE EXTERNAL;

CREATE TABLE ledger.journal_private_p000001 (
    shard integer CONSTRAINT journal_private_shard_not_null NOT NULL,
    batch_seq bigint CONSTRAINT journal_private_batch_seq_not_null NOT NULL,
    records bytea CONSTRAINT journal_private_records_not_null NOT NULL
);
ALTER TABLE ONLY ledger.journal_private_p000001 ALTER COLUMN records SET STORAGE EXTERNAL;

CREATE TABLE ledger.key_bucket (
    shard integer NOT NULL,
    segment bigint NOT NULL,
    bucket integer NOT NULL,
    body bytea NOT NULL,
    CONSTRAINT key_bucket_body_check CHECK (((octet_length(body) % 24) = 0)),
    CONSTRAINT key_bucket_bucket_check CHECK ((bucket >= 0))
);
ALTER TABLE ONLY ledger.key_bucket ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE TABLE ledger.key_segment (
    shard integer NOT NULL,
    number bigint NOT NULL,
    generation bigint NOT NULL,
    first_batch bigint NOT NULL,
    last_batch bigint NOT NULL,
    keys bigint NOT NULL,
    bucket_bits smallint NOT NULL,
    format smallint NOT NULL,
    filter bytea NOT NULL,
    CONSTRAINT key_segment_bucket_bits_check CHECK (((bucket_bits >= 0) AND (bucket_bits <= 24))),
    CONSTRAINT key_segment_format_check CHECK ((format >= 1)),
    CONSTRAINT key_segment_keys_check CHECK ((keys >= 1)),
    CONSTRAINT key_segment_number_check CHECK ((number >= 1))
);
ALTER TABLE ONLY ledger.key_segment ALTER COLUMN filter SET STORAGE EXTERNAL;

CREATE TABLE ledger.parked_usage (
    tenant integer NOT NULL,
    account_id text NOT NULL COLLATE pg_catalog."C",
    source text NOT NULL COLLATE pg_catalog."C",
    event_id text NOT NULL COLLATE pg_catalog."C",
    body bytea NOT NULL,
    parked_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT parked_usage_account_id_check CHECK (((octet_length(account_id) >= 1) AND (octet_length(account_id) <= 128))),
    CONSTRAINT parked_usage_event_id_check CHECK (((octet_length(event_id) >= 1) AND (octet_length(event_id) <= 128))),
    CONSTRAINT parked_usage_source_check CHECK ((octet_length(source) <= 128))
);

CREATE TABLE ledger.seal (
    shard integer NOT NULL,
    seal_seq bigint NOT NULL,
    format smallint NOT NULL,
    key_id bytea NOT NULL,
    first_batch bigint NOT NULL,
    last_batch bigint NOT NULL,
    first_entry bigint NOT NULL,
    next_entry bigint NOT NULL,
    sealed_at bigint NOT NULL,
    head_hash bytea NOT NULL,
    merkle_root bytea NOT NULL,
    prev_seal bytea NOT NULL,
    signature bytea NOT NULL,
    secret bytea NOT NULL,
    chunk_roots bytea NOT NULL,
    CONSTRAINT seal_check CHECK ((last_batch >= first_batch)),
    CONSTRAINT seal_check1 CHECK ((next_entry > first_entry)),
    CONSTRAINT seal_chunk_roots_check CHECK (((octet_length(chunk_roots) % 32) = 0)),
    CONSTRAINT seal_format_check CHECK ((format >= 1)),
    CONSTRAINT seal_head_hash_check CHECK ((octet_length(head_hash) = 32)),
    CONSTRAINT seal_merkle_root_check CHECK ((octet_length(merkle_root) = 32)),
    CONSTRAINT seal_prev_seal_check CHECK ((octet_length(prev_seal) = 32)),
    CONSTRAINT seal_seal_seq_check CHECK ((seal_seq >= 1)),
    CONSTRAINT seal_secret_check CHECK ((octet_length(secret) = 32)),
    CONSTRAINT seal_shard_check CHECK ((shard >= 0)),
    CONSTRAINT seal_signature_check CHECK ((octet_length(signature) = 64))
);

CREATE TABLE ledger.seal_key (
    key_seq integer NOT NULL,
    format smallint NOT NULL,
    key_id bytea NOT NULL,
    public_key bytea NOT NULL,
    introduced_by bytea NOT NULL,
    introduced_at bigint NOT NULL,
    prev_hash bytea NOT NULL,
    old_signature bytea NOT NULL,
    signature bytea NOT NULL,
    CONSTRAINT seal_key_format_check CHECK ((format >= 1)),
    CONSTRAINT seal_key_introduced_by_check CHECK ((octet_length(introduced_by) = 16)),
    CONSTRAINT seal_key_key_id_check CHECK ((octet_length(key_id) = 16)),
    CONSTRAINT seal_key_key_seq_check CHECK ((key_seq >= 1)),
    CONSTRAINT seal_key_old_signature_check CHECK ((octet_length(old_signature) = 64)),
    CONSTRAINT seal_key_prev_hash_check CHECK ((octet_length(prev_hash) = 32)),
    CONSTRAINT seal_key_public_key_check CHECK ((octet_length(public_key) = 32)),
    CONSTRAINT seal_key_signature_check CHECK ((octet_length(signature) = 64))
);

CREATE TABLE ledger.server (
    process text NOT NULL,
    address text NOT NULL,
    leaving boolean DEFAULT false NOT NULL,
    joined_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT server_address_check CHECK (((octet_length(address) >= 1) AND (octet_length(address) <= 512))),
    CONSTRAINT server_process_check CHECK (((octet_length(process) >= 1) AND (octet_length(process) <= 512)))
)
WITH (fillfactor='50');

CREATE TABLE ledger.server_key (
    number integer NOT NULL,
    secret bytea NOT NULL,
    made_at bigint NOT NULL,
    made_by text NOT NULL,
    before_until bigint NOT NULL,
    CONSTRAINT server_key_made_by_check CHECK (((octet_length(made_by) >= 1) AND (octet_length(made_by) <= 256))),
    CONSTRAINT server_key_number_check CHECK ((number >= 1)),
    CONSTRAINT server_key_secret_check CHECK ((octet_length(secret) = 32))
);

CREATE TABLE ledger.server_secret (
    only_row boolean DEFAULT true NOT NULL,
    secret bytea NOT NULL,
    CONSTRAINT server_secret_only_row_check CHECK (only_row),
    CONSTRAINT server_secret_secret_check CHECK ((octet_length(secret) = 32))
);

CREATE TABLE ledger.settings (
    only_row boolean DEFAULT true NOT NULL,
    shards integer NOT NULL,
    hash_name text NOT NULL,
    instance_id uuid DEFAULT gen_random_uuid() NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT settings_only_row_check CHECK (only_row),
    CONSTRAINT settings_shards_check CHECK (((shards >= 1) AND (shards <= 1024)))
);

CREATE TABLE ledger.shard_lease (
    shard integer NOT NULL,
    epoch bigint NOT NULL,
    owner text NOT NULL,
    address text NOT NULL,
    taken_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT shard_lease_address_check CHECK (((octet_length(address) >= 1) AND (octet_length(address) <= 512))),
    CONSTRAINT shard_lease_epoch_check CHECK ((epoch >= 1)),
    CONSTRAINT shard_lease_owner_check CHECK (((octet_length(owner) >= 1) AND (octet_length(owner) <= 512))),
    CONSTRAINT shard_lease_shard_check CHECK ((shard >= 0))
)
WITH (fillfactor='50');

CREATE TABLE ledger.signed_token (
    token_id text NOT NULL COLLATE pg_catalog."C",
    key_id text NOT NULL,
    subject text NOT NULL,
    tenant integer,
    accounts bigint[] DEFAULT '{}'::bigint[] NOT NULL,
    scopes text[] NOT NULL,
    signed_at bigint NOT NULL,
    signed_by text NOT NULL,
    expires_at bigint NOT NULL,
    CONSTRAINT signed_token_signed_by_check CHECK (((octet_length(signed_by) >= 1) AND (octet_length(signed_by) <= 256))),
    CONSTRAINT signed_token_subject_check CHECK (((octet_length(subject) >= 1) AND (octet_length(subject) <= 128))),
    CONSTRAINT signed_token_token_id_check CHECK (((octet_length(token_id) >= 1) AND (octet_length(token_id) <= 64)))
);

CREATE TABLE ledger.tenant (
    number integer NOT NULL,
    name text NOT NULL COLLATE pg_catalog."C",
    kind smallint NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT tenant_kind_check CHECK ((kind = ANY (ARRAY[1, 2]))),
    CONSTRAINT tenant_name_check CHECK (((octet_length(name) >= 1) AND (octet_length(name) <= 128)))
);

ALTER TABLE ledger.tenant ALTER COLUMN number ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME ledger.tenant_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE projection.account_moves (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    account bigint NOT NULL,
    version bigint NOT NULL,
    before bigint NOT NULL,
    since bigint NOT NULL,
    parent bigint NOT NULL,
    moved_at bigint NOT NULL,
    entry_seq bigint NOT NULL,
    CONSTRAINT account_moves_check CHECK ((entry_seq > since))
);

CREATE TABLE projection.accounts (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    account bigint NOT NULL,
    parent bigint,
    root bigint NOT NULL,
    policy jsonb NOT NULL,
    version bigint NOT NULL,
    created_at bigint NOT NULL,
    closed_at bigint,
    reopened_at bigint,
    frozen_at bigint,
    profile_version bigint NOT NULL,
    placed_seq bigint DEFAULT 0 NOT NULL
);

CREATE VIEW projection.account_places AS
 SELECT accounts.tenant,
    accounts.shard,
    accounts.account,
    accounts.parent,
    accounts.placed_seq AS since,
    '9223372036854775807'::bigint AS until
   FROM projection.accounts
  WHERE (accounts.parent IS NOT NULL)
UNION ALL
 SELECT account_moves.tenant,
    account_moves.shard,
    account_moves.account,
    account_moves.before AS parent,
    account_moves.since,
    account_moves.entry_seq AS until
   FROM projection.account_moves;

CREATE TABLE projection.account_policies (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    account bigint NOT NULL,
    version bigint NOT NULL,
    policy jsonb NOT NULL,
    recorded_at bigint NOT NULL
);

CREATE TABLE projection.adjustments (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    entry_seq bigint NOT NULL,
    account bigint NOT NULL,
    period bigint NOT NULL,
    closed bigint NOT NULL,
    recorded_at bigint NOT NULL
);

CREATE TABLE projection.amendments (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    entry_seq bigint NOT NULL,
    account bigint NOT NULL,
    reversal_entry bigint NOT NULL,
    original_entry bigint NOT NULL
);

CREATE TABLE projection.backfilled (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    entry_seq bigint NOT NULL,
    line integer NOT NULL,
    account bigint NOT NULL,
    product text NOT NULL,
    asset bigint NOT NULL,
    value bigint NOT NULL,
    recorded_at bigint NOT NULL,
    CONSTRAINT backfilled_value_check CHECK ((value > 0))
);

CREATE TABLE projection.book_snapshots (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    book bigint NOT NULL,
    recorded_at bigint NOT NULL,
    debits_posted numeric NOT NULL,
    credits_posted numeric NOT NULL,
    debits_pending numeric NOT NULL,
    credits_pending numeric NOT NULL
);

CREATE TABLE projection.books (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    book bigint NOT NULL,
    kind smallint NOT NULL,
    asset bigint NOT NULL,
    owner bigint NOT NULL,
    name text NOT NULL,
    debits_posted numeric NOT NULL,
    credits_posted numeric NOT NULL,
    debits_pending numeric NOT NULL,
    credits_pending numeric NOT NULL,
    transfers bigint DEFAULT 0 NOT NULL,
    value numeric NOT NULL,
    CONSTRAINT books_credits_pending_check CHECK ((credits_pending >= (0)::numeric)),
    CONSTRAINT books_credits_posted_check CHECK ((credits_posted >= (0)::numeric)),
    CONSTRAINT books_debits_pending_check CHECK ((debits_pending >= (0)::numeric)),
    CONSTRAINT books_debits_posted_check CHECK ((debits_posted >= (0)::numeric)),
    CONSTRAINT books_kind_check CHECK ((kind >= 1)),
    CONSTRAINT books_transfers_check CHECK ((transfers >= 0))
)
WITH (fillfactor='70');

CREATE TABLE projection.budget_crossings (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    entry_seq bigint NOT NULL,
    account bigint NOT NULL,
    number bigint NOT NULL,
    threshold integer NOT NULL,
    used numeric NOT NULL,
    most bigint NOT NULL,
    recorded_at bigint NOT NULL,
    budget bigint,
    value text[]
);

CREATE TABLE projection.budget_values (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    number bigint NOT NULL,
    account bigint NOT NULL,
    budget bigint NOT NULL,
    value text[] NOT NULL,
    opened_at bigint NOT NULL,
    closed_at bigint
);

CREATE TABLE projection.budget_windows (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    number bigint NOT NULL,
    since bigint NOT NULL,
    until bigint NOT NULL,
    posted numeric NOT NULL,
    pending numeric NOT NULL
)
WITH (fillfactor='80');

CREATE TABLE projection.budgets (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    entry_seq bigint NOT NULL,
    account bigint NOT NULL,
    number bigint NOT NULL,
    name text NOT NULL,
    version bigint,
    terms jsonb,
    recorded_at bigint NOT NULL
);

CREATE TABLE projection.caps (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    entry_seq bigint NOT NULL,
    account bigint NOT NULL,
    number bigint NOT NULL,
    below bigint,
    asset bigint,
    grant_number bigint,
    version bigint,
    terms jsonb,
    recorded_at bigint NOT NULL
);

CREATE TABLE projection.charge_entries (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    entry_seq bigint NOT NULL,
    account bigint NOT NULL,
    charge bigint NOT NULL,
    change smallint NOT NULL,
    name text,
    version bigint,
    quantity bigint,
    terms jsonb,
    period bigint,
    period_start bigint,
    period_end bigint,
    ends_at bigint,
    recorded_at bigint NOT NULL
);

CREATE TABLE projection.checkpoint (
    shard integer NOT NULL,
    batch_seq bigint DEFAULT 0 NOT NULL,
    entries bigint DEFAULT 0 NOT NULL,
    recorded_at bigint DEFAULT 0 NOT NULL,
    hash bytea DEFAULT decode(repeat('00'::text, 32), 'hex'::text) NOT NULL,
    scrubs bigint DEFAULT 0 NOT NULL,
    CONSTRAINT checkpoint_shard_check CHECK ((shard >= 0))
);

CREATE TABLE projection.clocks (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    ahead bigint NOT NULL,
    CONSTRAINT clocks_ahead_check CHECK ((ahead > 0))
);

CREATE TABLE projection.commitment_entries (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    entry_seq bigint NOT NULL,
    commitment bigint NOT NULL,
    kind smallint NOT NULL,
    ending smallint,
    target bigint,
    due_at bigint,
    amount bigint NOT NULL,
    recorded_at bigint NOT NULL,
    CONSTRAINT commitment_entries_amount_check CHECK ((amount >= 0)),
    CONSTRAINT commitment_entries_kind_check CHECK ((kind = ANY (ARRAY[1, 2])))
);

CREATE TABLE projection.commitment_invoices (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    entry_seq bigint NOT NULL,
    line integer NOT NULL,
    commitment bigint NOT NULL,
    due_at bigint NOT NULL,
    amount bigint NOT NULL,
    CONSTRAINT commitment_invoices_amount_check CHECK ((amount > 0))
);

CREATE TABLE projection.commitment_segments (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    commitment bigint NOT NULL,
    grant_number bigint NOT NULL,
    starts_at bigint NOT NULL,
    ends_at bigint NOT NULL,
    amount bigint NOT NULL,
    price bigint NOT NULL,
    moved_from bigint,
    recorded_at bigint NOT NULL,
    CONSTRAINT commitment_segments_amount_check CHECK ((amount > 0)),
    CONSTRAINT commitment_segments_check CHECK ((ends_at > starts_at)),
    CONSTRAINT commitment_segments_price_check CHECK ((price >= 0))
);

CREATE TABLE projection.commitments (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    number bigint NOT NULL,
    account bigint NOT NULL,
    terms jsonb NOT NULL,
    created_at bigint NOT NULL
);

CREATE TABLE projection.contract_entries (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    entry_seq bigint NOT NULL,
    account bigint NOT NULL,
    contract text NOT NULL,
    change smallint NOT NULL,
    package text,
    version bigint,
    starts_at bigint,
    ends_at bigint,
    auto_renew boolean,
    effective_at bigint,
    rerate_from bigint,
    ending smallint,
    recorded_at bigint NOT NULL
);

CREATE VIEW projection.contracts AS
 SELECT s.tenant,
    s.shard,
    s.account,
    s.contract,
    s.package,
    v.version,
    s.starts_at,
    e.ends_at,
    r.auto_renew,
        CASE l.change
            WHEN 5 THEN 3
            WHEN 1 THEN 1
            ELSE 2
        END AS state,
    s.entry_seq,
    l.last_entry_seq
   FROM ((((( SELECT contract_entries.tenant,
            contract_entries.shard,
            contract_entries.entry_seq,
            contract_entries.account,
            contract_entries.contract,
            contract_entries.change,
            contract_entries.package,
            contract_entries.version,
            contract_entries.starts_at,
            contract_entries.ends_at,
            contract_entries.auto_renew,
            contract_entries.effective_at,
            contract_entries.rerate_from,
            contract_entries.ending,
            contract_entries.recorded_at
           FROM projection.contract_entries
          WHERE (contract_entries.change = 1)) s
     JOIN ( SELECT DISTINCT ON (contract_entries.tenant, contract_entries.account, contract_entries.contract) contract_entries.tenant,
            contract_entries.shard,
            contract_entries.entry_seq,
            contract_entries.account,
            contract_entries.contract,
            contract_entries.change,
            contract_entries.package,
            contract_entries.version,
            contract_entries.starts_at,
            contract_entries.ends_at,
            contract_entries.auto_renew,
            contract_entries.effective_at,
            contract_entries.rerate_from,
            contract_entries.ending,
            contract_entries.recorded_at
           FROM projection.contract_entries
          WHERE (contract_entries.version IS NOT NULL)
          ORDER BY contract_entries.tenant, contract_entries.account, contract_entries.contract, contract_entries.entry_seq DESC) v USING (tenant, account, contract))
     JOIN ( SELECT DISTINCT ON (contract_entries.tenant, contract_entries.account, contract_entries.contract) contract_entries.tenant,
            contract_entries.shard,
            contract_entries.entry_seq,
            contract_entries.account,
            contract_entries.contract,
            contract_entries.change,
            contract_entries.package,
            contract_entries.version,
            contract_entries.starts_at,
            contract_entries.ends_at,
            contract_entries.auto_renew,
            contract_entries.effective_at,
            contract_entries.rerate_from,
            contract_entries.ending,
            contract_entries.recorded_at
           FROM projection.contract_entries
          WHERE (contract_entries.ends_at IS NOT NULL)
          ORDER BY contract_entries.tenant, contract_entries.account, contract_entries.contract, contract_entries.entry_seq DESC) e USING (tenant, account, contract))
     JOIN ( SELECT DISTINCT ON (contract_entries.tenant, contract_entries.account, contract_entries.contract) contract_entries.tenant,
            contract_entries.shard,
            contract_entries.entry_seq,
            contract_entries.account,
            contract_entries.contract,
            contract_entries.change,
            contract_entries.package,
            contract_entries.version,
            contract_entries.starts_at,
            contract_entries.ends_at,
            contract_entries.auto_renew,
            contract_entries.effective_at,
            contract_entries.rerate_from,
            contract_entries.ending,
            contract_entries.recorded_at
           FROM projection.contract_entries
          WHERE (contract_entries.auto_renew IS NOT NULL)
          ORDER BY contract_entries.tenant, contract_entries.account, contract_entries.contract, contract_entries.entry_seq DESC) r USING (tenant, account, contract))
     JOIN ( SELECT contract_entries.tenant,
            contract_entries.account,
            contract_entries.contract,
            max(contract_entries.change) FILTER (WHERE (contract_entries.change = ANY (ARRAY[1, 2, 5]))) AS change,
            max(contract_entries.entry_seq) AS last_entry_seq
           FROM projection.contract_entries
          GROUP BY contract_entries.tenant, contract_entries.account, contract_entries.contract) l USING (tenant, account, contract));

CREATE TABLE projection.debts_since (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    account bigint NOT NULL,
    asset bigint NOT NULL,
    recorded_at bigint NOT NULL,
    since bigint
);

CREATE TABLE projection.decision_policies (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    entry_seq bigint NOT NULL,
    account bigint NOT NULL,
    package text NOT NULL,
    version bigint NOT NULL,
    rules jsonb NOT NULL,
    recorded_at bigint NOT NULL
);

CREATE TABLE projection.denials (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    entry_seq bigint NOT NULL,
    account bigint NOT NULL,
    plan uuid NOT NULL,
    asset bigint NOT NULL,
    quantities bigint[] NOT NULL,
    charge bigint NOT NULL,
    available numeric NOT NULL,
    reason text NOT NULL,
    recorded_at bigint NOT NULL,
    trace bytea
);

CREATE TABLE projection.entry_actors (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    entry_seq bigint NOT NULL,
    account bigint NOT NULL,
    actor text NOT NULL
);

CREATE TABLE projection.fee_lines (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    entry_seq bigint NOT NULL,
    account bigint NOT NULL,
    charge bigint NOT NULL,
    product text NOT NULL,
    asset bigint NOT NULL,
    period bigint NOT NULL,
    period_start bigint NOT NULL,
    period_end bigint NOT NULL,
    quantity bigint NOT NULL,
    amount bigint NOT NULL,
    total bigint NOT NULL,
    kept bigint NOT NULL,
    effective_at bigint NOT NULL,
    recorded_at bigint NOT NULL
);

CREATE VIEW projection.fixed_charges AS
 SELECT s.tenant,
    s.shard,
    s.charge,
    s.account,
    s.name,
    q.quantity,
    p.period,
    p.period_start,
    p.period_end,
    e.ends_at,
    s.entry_seq
   FROM (((projection.charge_entries s
     JOIN LATERAL ( SELECT charge_entries.quantity
           FROM projection.charge_entries
          WHERE ((charge_entries.tenant = s.tenant) AND (charge_entries.account = s.account) AND (charge_entries.charge = s.charge) AND (charge_entries.change = ANY (ARRAY[1, 2, 3, 8])))
          ORDER BY charge_entries.entry_seq DESC
         LIMIT 1) q ON (true))
     LEFT JOIN LATERAL ( SELECT charge_entries.period,
            charge_entries.period_start,
            charge_entries.period_end
           FROM projection.charge_entries
          WHERE ((charge_entries.tenant = s.tenant) AND (charge_entries.account = s.account) AND (charge_entries.charge = s.charge) AND (charge_entries.change = 2))
          ORDER BY charge_entries.entry_seq DESC
         LIMIT 1) p ON (true))
     JOIN LATERAL ( SELECT charge_entries.ends_at
           FROM projection.charge_entries
          WHERE ((charge_entries.tenant = s.tenant) AND (charge_entries.account = s.account) AND (charge_entries.charge = s.charge) AND (charge_entries.change = ANY (ARRAY[1, 6, 7])))
          ORDER BY charge_entries.entry_seq DESC
         LIMIT 1) e ON (true))
  WHERE (s.change = 1);

CREATE TABLE projection.gauge_entries (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    entry_seq bigint NOT NULL,
    account bigint NOT NULL,
    change smallint NOT NULL,
    gauge bigint NOT NULL,
    scope_start bigint NOT NULL,
    scope_end bigint NOT NULL,
    plan uuid,
    effective_at bigint,
    quantities bigint[] NOT NULL,
    level bigint[] NOT NULL,
    original_entry bigint,
    recorded_at bigint NOT NULL
);

CREATE VIEW projection.gauges AS
 SELECT DISTINCT ON (tenant, shard, account, gauge, scope_start, scope_end) tenant,
    shard,
    account,
    gauge,
    scope_start,
    scope_end,
    (change = 3) AS charged,
    level,
    entry_seq
   FROM projection.gauge_entries
  ORDER BY tenant, shard, account, gauge, scope_start, scope_end, entry_seq DESC;

CREATE TABLE projection.grants (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    number bigint NOT NULL,
    account bigint NOT NULL,
    ordinal bigint NOT NULL,
    kind smallint NOT NULL,
    state smallint NOT NULL,
    asset bigint NOT NULL,
    amount bigint NOT NULL,
    price_paid bigint NOT NULL,
    price_asset bigint NOT NULL,
    priority bigint NOT NULL,
    effective_at bigint NOT NULL,
    expires_at bigint,
    products text[] NOT NULL,
    tags text[] NOT NULL,
    attributes jsonb NOT NULL,
    shared boolean NOT NULL,
    rollover jsonb,
    metadata jsonb NOT NULL,
    book bigint NOT NULL,
    funding_book bigint NOT NULL,
    cash_book bigint,
    deferred_book bigint,
    origin bigint,
    backfill bigint NOT NULL,
    voided bigint NOT NULL,
    expired bigint NOT NULL,
    rolled bigint NOT NULL,
    cancelled bigint NOT NULL,
    given_back bigint NOT NULL,
    returned bigint NOT NULL,
    issued_at bigint NOT NULL,
    settled_at bigint,
    CONSTRAINT grants_amount_check CHECK ((amount > 0)),
    CONSTRAINT grants_cancelled_check CHECK ((cancelled >= 0)),
    CONSTRAINT grants_expired_check CHECK ((expired >= 0)),
    CONSTRAINT grants_given_back_check CHECK ((given_back >= 0)),
    CONSTRAINT grants_kind_check CHECK ((kind >= 1)),
    CONSTRAINT grants_price_paid_check CHECK ((price_paid >= 0)),
    CONSTRAINT grants_returned_check CHECK ((returned >= 0)),
    CONSTRAINT grants_rolled_check CHECK ((rolled >= 0)),
    CONSTRAINT grants_state_check CHECK ((state >= 0)),
    CONSTRAINT grants_voided_check CHECK ((voided >= 0))
);

CREATE TABLE projection.recurring_issues (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    entry_seq bigint NOT NULL,
    recurring bigint NOT NULL,
    cause smallint NOT NULL,
    version bigint NOT NULL,
    period_start bigint NOT NULL,
    period_end bigint NOT NULL,
    remaining bigint NOT NULL,
    whole bigint NOT NULL,
    grant_number bigint,
    amount bigint NOT NULL,
    price_paid bigint NOT NULL,
    recorded_at bigint NOT NULL,
    CONSTRAINT recurring_issues_amount_check CHECK ((amount >= 0)),
    CONSTRAINT recurring_issues_cause_check CHECK ((cause = ANY (ARRAY[1, 2]))),
    CONSTRAINT recurring_issues_check CHECK ((whole >= remaining)),
    CONSTRAINT recurring_issues_price_paid_check CHECK ((price_paid >= 0)),
    CONSTRAINT recurring_issues_remaining_check CHECK ((remaining >= 0))
);

CREATE VIEW projection.grant_balances AS
 SELECT g.tenant,
    g.shard,
    g.number,
    g.account,
    g.ordinal,
    g.kind,
    g.state,
    g.asset,
    g.amount,
    g.price_paid,
    g.price_asset,
    g.priority,
    g.effective_at,
    g.expires_at,
    g.products,
    g.tags,
    g.attributes,
    g.shared,
    g.rollover,
    g.metadata,
    g.book,
    g.funding_book,
    g.cash_book,
    g.deferred_book,
    g.origin,
    g.backfill,
    g.voided,
    g.expired,
    g.rolled,
    g.cancelled,
    g.given_back,
    g.returned,
    g.issued_at,
    g.settled_at,
    d.drawn,
    b.debits_pending AS held,
    ((b.credits_posted - b.debits_posted) - b.debits_pending) AS remaining,
    b.value AS recognised,
    ( SELECT i.recurring
           FROM projection.recurring_issues i
          WHERE ((i.tenant = g.tenant) AND (i.shard = g.shard) AND (i.grant_number = g.number))) AS recurring,
    ( SELECT s.commitment
           FROM projection.commitment_segments s
          WHERE ((s.tenant = g.tenant) AND (s.shard = g.shard) AND (s.grant_number = g.number))) AS commitment
   FROM (projection.grants g
     JOIN projection.books b USING (tenant, shard, book)),
    LATERAL ( SELECT ((((b.debits_posted - (g.voided)::numeric) - (g.expired)::numeric) - (g.rolled)::numeric) - (g.given_back)::numeric) AS drawn) d;

CREATE TABLE projection.grant_sharings (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    entry_seq bigint NOT NULL,
    account bigint NOT NULL,
    grants bigint[] NOT NULL,
    version bigint NOT NULL,
    mode smallint NOT NULL,
    accounts bigint[] NOT NULL,
    labels text[] NOT NULL,
    recorded_at bigint NOT NULL
);

CREATE TABLE projection.hold_sizes (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    hold bigint NOT NULL,
    account bigint NOT NULL,
    plan uuid NOT NULL,
    quantity text NOT NULL,
    asked bigint NOT NULL,
    held bigint NOT NULL,
    learned_of smallint NOT NULL,
    permille integer NOT NULL,
    observations bigint NOT NULL,
    value bigint NOT NULL,
    recorded_at bigint NOT NULL
);

CREATE TABLE projection.holds (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    number bigint NOT NULL,
    entry_seq bigint NOT NULL,
    account bigint NOT NULL,
    plan uuid NOT NULL,
    asset bigint NOT NULL,
    amount bigint NOT NULL,
    state smallint NOT NULL,
    quantities bigint[] NOT NULL,
    authorized_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    lifetime_max bigint NOT NULL,
    expiry smallint NOT NULL,
    period bigint NOT NULL,
    captured bigint NOT NULL,
    captures integer NOT NULL,
    reserved bigint[],
    settled_at bigint,
    settled_by bigint,
    trace bytea,
    reported_at bigint,
    CONSTRAINT holds_amount_check CHECK ((amount >= 0)),
    CONSTRAINT holds_captures_check CHECK ((captures >= 0)),
    CONSTRAINT holds_check CHECK (((captured >= 0) AND (captured <= amount))),
    CONSTRAINT holds_expiry_check CHECK ((expiry >= 1)),
    CONSTRAINT holds_state_check CHECK (((state >= 0) AND (state <= 4)))
)
WITH (fillfactor='80');

CREATE TABLE projection.lease_entries (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    entry_seq bigint NOT NULL,
    account bigint NOT NULL,
    lease bigint NOT NULL,
    change smallint NOT NULL,
    holder text,
    on_lapse smallint,
    wanted bigint,
    amount bigint,
    share bigint,
    lapses_at bigint,
    recorded_at bigint NOT NULL,
    operation bytea,
    parent bytea
);

CREATE VIEW projection.leases AS
 SELECT g.tenant,
    g.shard,
    g.account,
    g.lease,
    g.holder,
    g.on_lapse,
    g.recorded_at AS granted_at,
    l.change,
    l.recorded_at AS changed_at,
    (h.state = 0) AS open,
    h.asset,
    h.captured,
        CASE
            WHEN (h.state = 0) THEN (h.amount - h.captured)
            ELSE (0)::bigint
        END AS in_escrow,
    h.expires_at,
    g.operation,
    g.parent
   FROM ((projection.lease_entries g
     JOIN projection.holds h ON (((h.tenant = g.tenant) AND (h.shard = g.shard) AND (h.number = g.lease))))
     JOIN LATERAL ( SELECT e.change,
            e.recorded_at
           FROM projection.lease_entries e
          WHERE ((e.tenant = g.tenant) AND (e.account = g.account) AND (e.lease = g.lease))
          ORDER BY e.entry_seq DESC
         LIMIT 1) l ON (true))
  WHERE (g.change = 1);

CREATE TABLE projection.lifetime_values (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    account bigint NOT NULL,
    asset bigint NOT NULL,
    recorded_at bigint NOT NULL,
    value numeric NOT NULL
);

CREATE TABLE projection.mandate_entries (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    entry_seq bigint NOT NULL,
    account bigint NOT NULL,
    change smallint NOT NULL,
    asset bigint,
    budget bigint,
    terms jsonb,
    purchase_limit bigint,
    price_asset bigint,
    reason text,
    recorded_at bigint NOT NULL
);

CREATE TABLE projection.mandate_purchases (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    entry_seq bigint NOT NULL,
    account bigint NOT NULL,
    payer bigint NOT NULL,
    grant_number bigint NOT NULL,
    asset bigint NOT NULL,
    amount bigint NOT NULL,
    price_paid bigint NOT NULL,
    price_asset bigint NOT NULL,
    counted bigint[] NOT NULL,
    recorded_at bigint NOT NULL
);

CREATE TABLE projection.unpaid_grants (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    entry_seq bigint NOT NULL,
    account bigint NOT NULL,
    grant_number bigint NOT NULL,
    amount bigint NOT NULL,
    unpaid bigint NOT NULL,
    recorded_at bigint NOT NULL
);

CREATE VIEW projection.mandates AS
 SELECT g.tenant,
    g.shard,
    g.account,
    g.asset,
    g.budget,
    g.terms,
    g.recorded_at AS granted_at,
    r.recorded_at AS revoked_at,
    r.reason,
    COALESCE(s.spent, (0)::numeric) AS spent,
    COALESCE(s.held, (0)::numeric) AS held,
    g.purchase_limit,
    g.price_asset,
    COALESCE(b.purchased, (0)::numeric) AS purchased
   FROM (((projection.mandate_entries g
     LEFT JOIN projection.mandate_entries r ON (((r.tenant = g.tenant) AND (r.account = g.account) AND (r.change = 2))))
     LEFT JOIN LATERAL ( SELECT sum(w.posted) AS spent,
            sum(w.pending) AS held
           FROM (projection.budgets t
             JOIN projection.budget_windows w ON (((w.tenant = t.tenant) AND (w.shard = t.shard) AND (w.number = t.number))))
          WHERE ((t.tenant = g.tenant) AND (t.account = g.account) AND (t.name = 'mandate'::text))) s ON (true))
     LEFT JOIN LATERAL ( SELECT sum((p.price_paid - COALESCE(u.unpaid, (0)::bigint))) AS purchased
           FROM (projection.mandate_purchases p
             LEFT JOIN projection.unpaid_grants u ON (((u.tenant = p.tenant) AND (u.shard = p.shard) AND (u.grant_number = p.grant_number))))
          WHERE ((p.tenant = g.tenant) AND (p.shard = g.shard) AND (p.counted @> ARRAY[g.account]))) b ON (true))
  WHERE (g.change = 1);

CREATE TABLE projection.manual_adjustments (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    entry_seq bigint NOT NULL,
    account bigint NOT NULL,
    asset bigint NOT NULL,
    amount bigint NOT NULL,
    number bigint,
    recorded_at bigint NOT NULL,
    trace bytea,
    CONSTRAINT manual_adjustments_amount_check CHECK ((amount <> 0))
);

CREATE TABLE projection.minimums (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    entry_seq bigint NOT NULL,
    account bigint NOT NULL,
    rate_card text NOT NULL,
    card_version bigint NOT NULL,
    scope smallint NOT NULL,
    product text NOT NULL,
    quantity_name text NOT NULL,
    asset bigint NOT NULL,
    period_start bigint NOT NULL,
    period_end bigint NOT NULL,
    minimum bigint NOT NULL,
    charged numeric NOT NULL,
    recorded_at bigint NOT NULL
);

CREATE TABLE projection.plans (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    plan uuid NOT NULL,
    product text NOT NULL,
    attributes jsonb NOT NULL,
    quantity_names text[] NOT NULL,
    rate_card text NOT NULL,
    card_version bigint NOT NULL,
    price_rows bigint[] NOT NULL,
    asset bigint NOT NULL
);

CREATE VIEW projection.outcomes AS
 SELECT h.tenant,
    h.shard,
    h.number,
    h.entry_seq,
    h.account,
    p.product,
    p.attributes,
    p.quantity_names,
    h.quantities,
    h.asset,
    h.amount AS reserved_at_report,
        CASE h.state
            WHEN 0 THEN 'pending'::text
            WHEN 1 THEN 'confirmed'::text
            WHEN 4 THEN 'confirmed'::text
            ELSE 'rejected'::text
        END AS state,
    (h.state = ANY (ARRAY[3, 4])) AS by_time,
    h.authorized_at AS effective_at,
    h.reported_at,
    NULLIF(h.expires_at, '9223372036854775807'::bigint) AS due_at,
    h.settled_at,
    h.settled_by
   FROM (projection.holds h
     JOIN projection.plans p USING (tenant, shard, plan))
  WHERE (h.reported_at IS NOT NULL);

CREATE TABLE projection.reversals (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    entry_seq bigint NOT NULL,
    account bigint NOT NULL,
    original_entry bigint NOT NULL,
    plan uuid NOT NULL,
    asset bigint NOT NULL,
    effective_at bigint NOT NULL,
    recorded_at bigint NOT NULL,
    quantities bigint[] NOT NULL,
    refunds bigint[] NOT NULL,
    amount bigint NOT NULL,
    as_charged bigint NOT NULL,
    trace bytea,
    CONSTRAINT reversals_amount_check CHECK ((amount >= 0)),
    CONSTRAINT reversals_as_charged_check CHECK ((as_charged >= 0))
);

CREATE TABLE projection.shared_rerates (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    entry_seq bigint NOT NULL,
    account bigint NOT NULL,
    plan uuid NOT NULL,
    asset bigint NOT NULL,
    amount bigint NOT NULL,
    cause_entry bigint NOT NULL,
    effective_at bigint NOT NULL,
    recorded_at bigint NOT NULL
);

CREATE TABLE projection.transfers (
    entry_seq bigint NOT NULL,
    debit_book bigint NOT NULL,
    credit_book bigint NOT NULL,
    asset bigint NOT NULL,
    amount bigint NOT NULL,
    value bigint NOT NULL,
    cost bigint NOT NULL,
    effective_at bigint NOT NULL,
    recorded_at bigint NOT NULL,
    tenant integer NOT NULL,
    shard integer NOT NULL,
    line integer NOT NULL,
    phase smallint NOT NULL,
    pot smallint NOT NULL,
    CONSTRAINT transfers_amount_check CHECK ((amount > 0)),
    CONSTRAINT transfers_phase_check CHECK ((phase = ANY (ARRAY[1, 2, 3]))),
    CONSTRAINT transfers_pot_check CHECK ((pot >= 0))
);

CREATE TABLE projection.usage_events (
    entry_seq bigint NOT NULL,
    account bigint NOT NULL,
    asset bigint NOT NULL,
    effective_at bigint NOT NULL,
    recorded_at bigint NOT NULL,
    charge bigint NOT NULL,
    plan uuid NOT NULL,
    tenant integer NOT NULL,
    shard integer NOT NULL,
    outcome smallint NOT NULL,
    late boolean NOT NULL,
    by_expiry boolean NOT NULL,
    quantities bigint[] NOT NULL,
    charges bigint[],
    over_limit bigint,
    hold bigint,
    reason text,
    trace bytea,
    source text,
    event_id text,
    operation text,
    operation_parent text,
    personal jsonb,
    reversed bigint DEFAULT 0 NOT NULL,
    reversed_quantities bigint[],
    CONSTRAINT usage_events_outcome_check CHECK ((outcome = ANY (ARRAY[1, 2, 3, 4]))),
    CONSTRAINT usage_events_reversed_check CHECK ((reversed >= 0))
);

CREATE TABLE projection.usage_follow_ups (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    entry_seq bigint NOT NULL,
    original_entry bigint NOT NULL,
    rerated boolean NOT NULL
);

CREATE VIEW projection.overage_draws AS
 SELECT d.tenant,
    d.shard,
    d.entry_seq,
    d.payer,
    d.asset,
    d.amount,
    d.effective_at,
    d.recorded_at,
    COALESCE(u.account, o.account, r.account, m.account, a.account, l.account, s.account) AS account
   FROM ((((((((( SELECT b.tenant,
            b.shard,
            t.entry_seq,
            b.owner AS payer,
            b.asset,
            t.amount,
            t.effective_at,
            t.recorded_at
           FROM ((projection.books b
             JOIN projection.transfers t ON (((t.tenant = b.tenant) AND (t.shard = b.shard) AND (t.debit_book = b.book) AND (t.phase = 2))))
             JOIN projection.books w ON (((w.tenant = t.tenant) AND (w.shard = t.shard) AND (w.book = t.credit_book) AND (w.kind = ANY (ARRAY[6, 19])))))
          WHERE (b.kind = 3)
        UNION ALL
         SELECT b.tenant,
            b.shard,
            t.entry_seq,
            b.owner,
            b.asset,
            (- t.amount),
            t.effective_at,
            t.recorded_at
           FROM ((projection.books b
             JOIN projection.transfers t ON (((t.tenant = b.tenant) AND (t.shard = b.shard) AND (t.credit_book = b.book) AND (t.phase = 2) AND (t.pot = 0))))
             JOIN projection.books w ON (((w.tenant = t.tenant) AND (w.shard = t.shard) AND (w.book = t.debit_book) AND (w.kind = ANY (ARRAY[6, 19])))))
          WHERE (b.kind = 3)) d
     LEFT JOIN projection.usage_events u ON (((u.tenant = d.tenant) AND (u.shard = d.shard) AND (u.entry_seq = d.entry_seq))))
     LEFT JOIN projection.usage_follow_ups f ON (((f.tenant = d.tenant) AND (f.shard = d.shard) AND (f.entry_seq = d.entry_seq))))
     LEFT JOIN projection.usage_events o ON (((o.tenant = f.tenant) AND (o.shard = f.shard) AND (o.entry_seq = f.original_entry))))
     LEFT JOIN projection.reversals r ON (((r.tenant = d.tenant) AND (r.shard = d.shard) AND (r.entry_seq = d.entry_seq))))
     LEFT JOIN projection.minimums m ON (((m.tenant = d.tenant) AND (m.shard = d.shard) AND (m.entry_seq = d.entry_seq))))
     LEFT JOIN projection.manual_adjustments a ON (((a.tenant = d.tenant) AND (a.shard = d.shard) AND (a.entry_seq = d.entry_seq))))
     LEFT JOIN projection.fee_lines l ON (((l.tenant = d.tenant) AND (l.shard = d.shard) AND (l.entry_seq = d.entry_seq))))
     LEFT JOIN projection.shared_rerates s ON (((s.tenant = d.tenant) AND (s.shard = d.shard) AND (s.entry_seq = d.entry_seq))));

CREATE TABLE projection.package_phases (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    entry_seq bigint NOT NULL,
    account bigint NOT NULL,
    phase text NOT NULL,
    periods integer NOT NULL,
    begins_at bigint NOT NULL,
    recorded_at bigint NOT NULL
);

CREATE TABLE projection.ratings (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    original_entry bigint NOT NULL,
    entry_seq bigint NOT NULL
);

CREATE TABLE projection.recurring_grants (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    number bigint NOT NULL,
    account bigint NOT NULL,
    paused boolean NOT NULL,
    version bigint NOT NULL,
    terms jsonb NOT NULL,
    next_terms jsonb,
    starts_at bigint NOT NULL,
    ends_at bigint,
    next_at bigint NOT NULL,
    period_start bigint,
    period_end bigint,
    created_at bigint NOT NULL
)
WITH (fillfactor='80');

CREATE TABLE projection.rulings (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    entry_seq bigint NOT NULL,
    account bigint NOT NULL,
    policy_account bigint,
    policy_version bigint NOT NULL,
    package text NOT NULL,
    rule integer NOT NULL,
    action smallint NOT NULL,
    reason text NOT NULL,
    product text NOT NULL,
    charge bigint NOT NULL,
    missing bigint NOT NULL,
    top_up bigint,
    tried jsonb NOT NULL,
    recorded_at bigint NOT NULL
);

CREATE TABLE projection.runway_crossings (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    entry_seq bigint NOT NULL,
    account bigint NOT NULL,
    asset bigint NOT NULL,
    version bigint NOT NULL,
    crossing bigint NOT NULL,
    short boolean NOT NULL,
    as_of bigint NOT NULL,
    empty_at bigint,
    available numeric NOT NULL,
    needed numeric NOT NULL,
    recorded_at bigint NOT NULL
);

CREATE TABLE projection.runway_rules (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    entry_seq bigint NOT NULL,
    account bigint NOT NULL,
    asset bigint NOT NULL,
    version bigint,
    hours integer,
    rearm_hours integer,
    recorded_at bigint NOT NULL
);

CREATE VIEW projection.runway_alerts AS
 SELECT r.tenant,
    r.shard,
    r.account,
    r.asset,
    r.version,
    r.hours,
    r.rearm_hours,
    COALESCE(c.short, false) AS short,
    COALESCE(c.crossing, (0)::bigint) AS crossings,
    c.recorded_at AS crossed_at,
    c.empty_at,
    c.available,
    c.needed
   FROM (( SELECT DISTINCT ON (runway_rules.shard, runway_rules.account, runway_rules.asset) runway_rules.tenant,
            runway_rules.shard,
            runway_rules.entry_seq,
            runway_rules.account,
            runway_rules.asset,
            runway_rules.version,
            runway_rules.hours,
            runway_rules.rearm_hours,
            runway_rules.recorded_at
           FROM projection.runway_rules
          ORDER BY runway_rules.shard, runway_rules.account, runway_rules.asset, runway_rules.entry_seq DESC) r
     LEFT JOIN LATERAL ( SELECT x.tenant,
            x.shard,
            x.entry_seq,
            x.account,
            x.asset,
            x.version,
            x.crossing,
            x.short,
            x.as_of,
            x.empty_at,
            x.available,
            x.needed,
            x.recorded_at
           FROM projection.runway_crossings x
          WHERE ((x.tenant = r.tenant) AND (x.account = r.account) AND (x.asset = r.asset) AND (x.version = r.version))
          ORDER BY x.crossing DESC
         LIMIT 1) c ON (true))
  WHERE (r.version IS NOT NULL);

CREATE TABLE projection.seat_alerts (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    entry_seq bigint NOT NULL,
    account bigint NOT NULL,
    plan text NOT NULL,
    seat bigint NOT NULL,
    name text NOT NULL,
    units_left bigint NOT NULL,
    entitled bigint NOT NULL,
    recorded_at bigint NOT NULL
);

CREATE TABLE projection.seat_entries (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    entry_seq bigint NOT NULL,
    account bigint NOT NULL,
    plan text NOT NULL,
    seat bigint NOT NULL,
    name text NOT NULL,
    until bigint,
    suspended boolean NOT NULL,
    entitled bigint NOT NULL,
    released bigint NOT NULL,
    recorded_at bigint NOT NULL
);

CREATE TABLE projection.seat_issues (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    entry_seq bigint NOT NULL,
    account bigint NOT NULL,
    plan text NOT NULL,
    seat bigint NOT NULL,
    grant_number bigint NOT NULL,
    amount bigint NOT NULL,
    price_paid bigint NOT NULL
);

CREATE TABLE projection.seat_plan_entries (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    entry_seq bigint NOT NULL,
    account bigint NOT NULL,
    plan text NOT NULL,
    change smallint NOT NULL,
    terms jsonb,
    period_start bigint,
    period_end bigint,
    unassigned bigint,
    leaving bigint,
    largest bigint,
    released bigint,
    mode smallint,
    taken bigint,
    ends_at bigint,
    version bigint,
    recorded_at bigint NOT NULL
);

CREATE VIEW projection.seat_plans AS
 SELECT t.tenant,
    t.shard,
    t.account,
    t.plan,
    t.terms,
    p.period_start,
    p.period_end,
    q.unassigned,
    q.leaving,
    q.largest,
    q.released,
        CASE
            WHEN (l.entry_seq > t.entry_seq) THEN l.ends_at
            ELSE NULL::bigint
        END AS ends_at,
    v.version,
    v.entry_seq AS last_entry_seq
   FROM ((((( SELECT DISTINCT ON (seat_plan_entries.tenant, seat_plan_entries.account, seat_plan_entries.plan) seat_plan_entries.tenant,
            seat_plan_entries.shard,
            seat_plan_entries.entry_seq,
            seat_plan_entries.account,
            seat_plan_entries.plan,
            seat_plan_entries.change,
            seat_plan_entries.terms,
            seat_plan_entries.period_start,
            seat_plan_entries.period_end,
            seat_plan_entries.unassigned,
            seat_plan_entries.leaving,
            seat_plan_entries.largest,
            seat_plan_entries.released,
            seat_plan_entries.mode,
            seat_plan_entries.taken,
            seat_plan_entries.ends_at,
            seat_plan_entries.version,
            seat_plan_entries.recorded_at
           FROM projection.seat_plan_entries
          WHERE (seat_plan_entries.change = 1)
          ORDER BY seat_plan_entries.tenant, seat_plan_entries.account, seat_plan_entries.plan, seat_plan_entries.entry_seq DESC) t
     JOIN ( SELECT DISTINCT ON (seat_plan_entries.tenant, seat_plan_entries.account, seat_plan_entries.plan) seat_plan_entries.tenant,
            seat_plan_entries.shard,
            seat_plan_entries.entry_seq,
            seat_plan_entries.account,
            seat_plan_entries.plan,
            seat_plan_entries.change,
            seat_plan_entries.terms,
            seat_plan_entries.period_start,
            seat_plan_entries.period_end,
            seat_plan_entries.unassigned,
            seat_plan_entries.leaving,
            seat_plan_entries.largest,
            seat_plan_entries.released,
            seat_plan_entries.mode,
            seat_plan_entries.taken,
            seat_plan_entries.ends_at,
            seat_plan_entries.version,
            seat_plan_entries.recorded_at
           FROM projection.seat_plan_entries
          WHERE (seat_plan_entries.change = ANY (ARRAY[1, 7]))
          ORDER BY seat_plan_entries.tenant, seat_plan_entries.account, seat_plan_entries.plan, seat_plan_entries.entry_seq DESC) p USING (tenant, account, plan))
     JOIN ( SELECT DISTINCT ON (seat_plan_entries.tenant, seat_plan_entries.account, seat_plan_entries.plan) seat_plan_entries.tenant,
            seat_plan_entries.shard,
            seat_plan_entries.entry_seq,
            seat_plan_entries.account,
            seat_plan_entries.plan,
            seat_plan_entries.change,
            seat_plan_entries.terms,
            seat_plan_entries.period_start,
            seat_plan_entries.period_end,
            seat_plan_entries.unassigned,
            seat_plan_entries.leaving,
            seat_plan_entries.largest,
            seat_plan_entries.released,
            seat_plan_entries.mode,
            seat_plan_entries.taken,
            seat_plan_entries.ends_at,
            seat_plan_entries.version,
            seat_plan_entries.recorded_at
           FROM projection.seat_plan_entries
          WHERE (seat_plan_entries.largest IS NOT NULL)
          ORDER BY seat_plan_entries.tenant, seat_plan_entries.account, seat_plan_entries.plan, seat_plan_entries.entry_seq DESC) q USING (tenant, account, plan))
     JOIN ( SELECT DISTINCT ON (seat_plan_entries.tenant, seat_plan_entries.account, seat_plan_entries.plan) seat_plan_entries.tenant,
            seat_plan_entries.shard,
            seat_plan_entries.entry_seq,
            seat_plan_entries.account,
            seat_plan_entries.plan,
            seat_plan_entries.change,
            seat_plan_entries.terms,
            seat_plan_entries.period_start,
            seat_plan_entries.period_end,
            seat_plan_entries.unassigned,
            seat_plan_entries.leaving,
            seat_plan_entries.largest,
            seat_plan_entries.released,
            seat_plan_entries.mode,
            seat_plan_entries.taken,
            seat_plan_entries.ends_at,
            seat_plan_entries.version,
            seat_plan_entries.recorded_at
           FROM projection.seat_plan_entries
          WHERE (seat_plan_entries.version IS NOT NULL)
          ORDER BY seat_plan_entries.tenant, seat_plan_entries.account, seat_plan_entries.plan, seat_plan_entries.entry_seq DESC) v USING (tenant, account, plan))
     LEFT JOIN ( SELECT DISTINCT ON (seat_plan_entries.tenant, seat_plan_entries.account, seat_plan_entries.plan) seat_plan_entries.tenant,
            seat_plan_entries.shard,
            seat_plan_entries.entry_seq,
            seat_plan_entries.account,
            seat_plan_entries.plan,
            seat_plan_entries.change,
            seat_plan_entries.terms,
            seat_plan_entries.period_start,
            seat_plan_entries.period_end,
            seat_plan_entries.unassigned,
            seat_plan_entries.leaving,
            seat_plan_entries.largest,
            seat_plan_entries.released,
            seat_plan_entries.mode,
            seat_plan_entries.taken,
            seat_plan_entries.ends_at,
            seat_plan_entries.version,
            seat_plan_entries.recorded_at
           FROM projection.seat_plan_entries
          WHERE (seat_plan_entries.change = 8)
          ORDER BY seat_plan_entries.tenant, seat_plan_entries.account, seat_plan_entries.plan, seat_plan_entries.entry_seq DESC) l USING (tenant, account, plan));

CREATE VIEW projection.seats AS
 SELECT tenant,
    shard,
    account,
    plan,
    seat,
    name,
    LEAST(until, ( SELECT min(e.ends_at) AS min
           FROM projection.seat_plan_entries e
          WHERE ((e.tenant = s.tenant) AND (e.account = s.account) AND (e.plan = s.plan) AND (e.change = 8) AND (e.entry_seq > s.entry_seq)))) AS until,
    suspended,
    entitled,
    released
   FROM ( SELECT DISTINCT ON (seat_entries.tenant, seat_entries.account, seat_entries.plan, seat_entries.seat) seat_entries.tenant,
            seat_entries.shard,
            seat_entries.entry_seq,
            seat_entries.account,
            seat_entries.plan,
            seat_entries.seat,
            seat_entries.name,
            seat_entries.until,
            seat_entries.suspended,
            seat_entries.entitled,
            seat_entries.released,
            seat_entries.recorded_at
           FROM projection.seat_entries
          ORDER BY seat_entries.tenant, seat_entries.account, seat_entries.plan, seat_entries.seat, seat_entries.entry_seq DESC) s;

CREATE TABLE projection.sizing_progress (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    product text NOT NULL,
    attributes text[] NOT NULL,
    entries bigint NOT NULL
);

CREATE TABLE projection.sizing_sketches (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    product text NOT NULL,
    attributes text[] NOT NULL,
    attr_values text[] NOT NULL,
    account bigint NOT NULL,
    quantity text NOT NULL,
    fortnight integer NOT NULL,
    observations bigint NOT NULL,
    last_entry bigint NOT NULL,
    sketch bytea NOT NULL
);

CREATE TABLE projection.statement_entries (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    entry_seq bigint NOT NULL,
    account bigint NOT NULL,
    change smallint NOT NULL,
    statement bigint,
    version bigint,
    form smallint,
    attribute text,
    period_start bigint,
    period_end bigint,
    first_entry bigint,
    last_entry bigint,
    batch_seq bigint,
    head bytea,
    hash bytea,
    recorded_at bigint NOT NULL
);

CREATE VIEW projection.statements AS
 SELECT e.tenant,
    e.shard,
    e.account,
    e.statement,
    e.form,
    e.attribute,
    e.period_start,
    e.period_end,
    e.entry_seq AS ended_by,
    e.recorded_at AS ended_at,
    c.entry_seq AS closed_by,
    c.recorded_at AS closed_at,
    c.first_entry,
    c.last_entry,
    c.batch_seq,
    c.head,
    c.hash
   FROM (projection.statement_entries e
     LEFT JOIN projection.statement_entries c ON (((c.tenant = e.tenant) AND (c.account = e.account) AND (c.shard = e.shard) AND (c.change = 3) AND (c.statement = e.statement))))
  WHERE (e.change = 2);

CREATE TABLE projection.statements_to_close (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    account bigint NOT NULL,
    statement bigint NOT NULL,
    ended_by bigint NOT NULL
);

CREATE TABLE projection.status (
    shard integer NOT NULL,
    entries bigint NOT NULL,
    head_entries bigint NOT NULL,
    lag_entries bigint NOT NULL,
    lag_us bigint NOT NULL,
    measured_at bigint NOT NULL,
    measured_by text NOT NULL
);

CREATE TABLE projection.subscription_entries (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    entry_seq bigint NOT NULL,
    account bigint NOT NULL,
    change smallint NOT NULL,
    package text,
    version bigint,
    follow smallint,
    locked_until bigint,
    period_start bigint,
    period_end bigint,
    ends_at bigint,
    recorded_at bigint NOT NULL
);

CREATE VIEW projection.subscriptions AS
 SELECT p.tenant,
    p.shard,
    p.account,
    p.package,
    p.version,
    p.period_start,
    p.period_end,
    (l.change = ANY (ARRAY[5, 7])) AS over,
    l.ends_at,
    l.entry_seq AS last_entry_seq
   FROM (( SELECT DISTINCT ON (subscription_entries.tenant, subscription_entries.account) subscription_entries.tenant,
            subscription_entries.shard,
            subscription_entries.entry_seq,
            subscription_entries.account,
            subscription_entries.change,
            subscription_entries.package,
            subscription_entries.version,
            subscription_entries.follow,
            subscription_entries.locked_until,
            subscription_entries.period_start,
            subscription_entries.period_end,
            subscription_entries.ends_at,
            subscription_entries.recorded_at
           FROM projection.subscription_entries
          WHERE (subscription_entries.change = ANY (ARRAY[1, 2, 4]))
          ORDER BY subscription_entries.tenant, subscription_entries.account, subscription_entries.entry_seq DESC) p
     JOIN ( SELECT DISTINCT ON (subscription_entries.tenant, subscription_entries.account) subscription_entries.tenant,
            subscription_entries.shard,
            subscription_entries.entry_seq,
            subscription_entries.account,
            subscription_entries.change,
            subscription_entries.package,
            subscription_entries.version,
            subscription_entries.follow,
            subscription_entries.locked_until,
            subscription_entries.period_start,
            subscription_entries.period_end,
            subscription_entries.ends_at,
            subscription_entries.recorded_at
           FROM projection.subscription_entries
          ORDER BY subscription_entries.tenant, subscription_entries.account, subscription_entries.entry_seq DESC) l USING (tenant, account));

CREATE TABLE projection.waiting (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    entry_seq bigint NOT NULL,
    account bigint NOT NULL,
    plan uuid NOT NULL,
    effective_at bigint NOT NULL,
    recorded_at bigint NOT NULL,
    quantities bigint[] NOT NULL,
    reasons text[] NOT NULL
);

CREATE VIEW projection.suspense AS
 SELECT w.tenant,
    w.shard,
    w.entry_seq,
    w.account,
    p.product,
    p.attributes,
    p.quantity_names[i.i] AS quantity_name,
    w.quantities[i.i] AS quantity,
    w.reasons[i.i] AS reason,
    w.effective_at,
    w.recorded_at
   FROM (projection.waiting w
     JOIN projection.plans p USING (tenant, shard, plan)),
    LATERAL generate_subscripts(w.reasons, 1) i(i)
  WHERE (w.reasons[i.i] IS NOT NULL);

CREATE TABLE projection.top_up_rules (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    entry_seq bigint NOT NULL,
    account bigint NOT NULL,
    asset bigint NOT NULL,
    version bigint,
    rule jsonb,
    recorded_at bigint NOT NULL
);

CREATE TABLE projection.top_ups (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    number bigint NOT NULL,
    account bigint NOT NULL,
    state smallint NOT NULL,
    asset bigint NOT NULL,
    amount bigint NOT NULL,
    price_paid bigint NOT NULL,
    price_asset bigint NOT NULL,
    source text NOT NULL,
    version bigint NOT NULL,
    available numeric NOT NULL,
    requested_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    settled_at bigint,
    grant_number bigint,
    CONSTRAINT top_ups_amount_check CHECK ((amount > 0)),
    CONSTRAINT top_ups_price_paid_check CHECK ((price_paid > 0)),
    CONSTRAINT top_ups_state_check CHECK (((state >= 1) AND (state <= 4)))
)
WITH (fillfactor='80');

CREATE VIEW projection.trial_balance AS
 SELECT b.tenant,
    b.asset,
    b.kind,
    b.name,
    b.shard,
    c.entries,
    sum(b.debits_posted) AS debits_posted,
    sum(b.credits_posted) AS credits_posted,
    sum(b.debits_pending) AS debits_pending,
    sum(b.credits_pending) AS credits_pending
   FROM (projection.books b
     JOIN projection.checkpoint c USING (shard))
  GROUP BY b.tenant, b.asset, b.kind, b.name, b.shard, c.entries;

CREATE VIEW projection.usage AS
 SELECT u.tenant,
    u.shard,
    u.entry_seq,
    u.account,
    u.asset,
    u.effective_at,
    u.recorded_at,
    u.outcome,
    u.reason,
    u.late,
    u.by_expiry,
    p.product,
    p.attributes,
    p.quantity_names,
    u.quantities,
    u.charges,
    u.charge,
    p.rate_card,
    p.card_version,
    p.price_rows,
    u.over_limit,
    u.hold,
    u.source,
    u.event_id,
    u.operation,
    u.operation_parent,
    u.personal,
    u.trace,
    ( SELECT jsonb_agg(jsonb_build_object('pot', t.pot, 'book', t.debit_book, 'amount', t.amount, 'value', t.value, 'cost', t.cost) ORDER BY t.line) AS jsonb_agg
           FROM projection.transfers t
          WHERE ((t.tenant = u.tenant) AND (t.shard = u.shard) AND (t.entry_seq = u.entry_seq) AND (t.phase = 2) AND (t.pot > 0))) AS slices
   FROM (projection.usage_events u
     JOIN projection.plans p USING (tenant, shard, plan));

CREATE TABLE projection.usage_costs (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    entry_seq bigint NOT NULL,
    account bigint NOT NULL,
    plan uuid NOT NULL,
    asset bigint NOT NULL,
    cost bigint NOT NULL,
    lines bigint[] NOT NULL,
    given_back numeric DEFAULT 0 NOT NULL,
    CONSTRAINT usage_costs_cost_check CHECK ((cost >= 0)),
    CONSTRAINT usage_costs_given_back_check CHECK ((given_back >= (0)::numeric))
);

CREATE VIEW projection.usage_figures AS
 SELECT u.tenant,
    u.shard,
    u.entry_seq,
    1 AS kind,
    u.asset,
    (u.charge - u.reversed) AS amount
   FROM projection.usage_events u
  WHERE (u.charge > 0)
UNION ALL
 SELECT f.tenant,
    f.shard,
    f.entry_seq,
    1 AS kind,
    t.asset,
    t.amount
   FROM (projection.usage_follow_ups f
     JOIN projection.transfers t ON (((t.tenant = f.tenant) AND (t.shard = f.shard) AND (t.entry_seq = f.entry_seq) AND (t.pot > 0))))
  WHERE f.rerated
UNION ALL
 SELECT f.tenant,
    f.shard,
    f.entry_seq,
    1 AS kind,
    t.asset,
    (- t.amount) AS amount
   FROM ((projection.usage_follow_ups f
     JOIN projection.transfers t ON (((t.tenant = f.tenant) AND (t.shard = f.shard) AND (t.entry_seq = f.entry_seq) AND (t.pot = 0))))
     JOIN projection.books b ON (((b.tenant = t.tenant) AND (b.shard = t.shard) AND (b.book = t.debit_book) AND (b.kind = 6))))
  WHERE f.rerated
UNION ALL
 SELECT s.tenant,
    s.shard,
    s.entry_seq,
    1 AS kind,
    s.asset,
    s.amount
   FROM projection.shared_rerates s
  WHERE (s.amount <> 0)
UNION ALL
 SELECT t.tenant,
    t.shard,
    t.entry_seq,
    2 AS kind,
    t.asset,
    (- t.amount) AS amount
   FROM (projection.transfers t
     JOIN projection.books b ON (((b.tenant = t.tenant) AND (b.shard = t.shard) AND (b.book = t.debit_book) AND (b.kind = 15))))
  WHERE ((t.phase = 2) AND (t.pot = 0))
UNION ALL
 SELECT t.tenant,
    t.shard,
    t.entry_seq,
    4 AS kind,
    t.asset,
    (- t.amount) AS amount
   FROM (projection.transfers t
     JOIN projection.books b ON (((b.tenant = t.tenant) AND (b.shard = t.shard) AND (b.book = t.credit_book) AND (b.kind = 2))))
  WHERE ((t.phase = 2) AND (t.pot = 0))
UNION ALL
 SELECT t.tenant,
    t.shard,
    t.entry_seq,
    2 AS kind,
    t.asset,
    t.amount
   FROM (projection.transfers t
     JOIN projection.books b ON (((b.tenant = t.tenant) AND (b.shard = t.shard) AND (b.book = t.credit_book) AND (b.kind = 15))))
  WHERE ((t.phase = 2) AND (t.pot = 0))
UNION ALL
 SELECT r.tenant,
    r.shard,
    r.original_entry AS entry_seq,
    2 AS kind,
    t.asset,
    (- t.amount) AS amount
   FROM ((projection.reversals r
     JOIN projection.transfers t ON (((t.tenant = r.tenant) AND (t.shard = r.shard) AND (t.entry_seq = r.entry_seq) AND (t.phase = 2))))
     JOIN projection.books b ON (((b.tenant = t.tenant) AND (b.shard = t.shard) AND (b.book = t.debit_book) AND (b.kind = 15))))
UNION ALL
 SELECT c.tenant,
    c.shard,
    c.entry_seq,
    3 AS kind,
    c.asset,
    ((c.cost)::numeric - c.given_back) AS amount
   FROM projection.usage_costs c
UNION ALL
 SELECT t.tenant,
    t.shard,
    t.entry_seq,
    4 AS kind,
    t.asset,
    t.amount
   FROM projection.transfers t
  WHERE ((t.phase = 2) AND (t.pot = ANY (ARRAY[2, 4])))
UNION ALL
 SELECT r.tenant,
    r.shard,
    r.original_entry AS entry_seq,
    4 AS kind,
    t.asset,
    (- t.amount) AS amount
   FROM ((projection.reversals r
     JOIN projection.transfers t ON (((t.tenant = r.tenant) AND (t.shard = r.shard) AND (t.entry_seq = r.entry_seq) AND (t.phase = 2))))
     JOIN projection.books b ON (((b.tenant = t.tenant) AND (b.shard = t.shard) AND (b.book = t.credit_book) AND (b.kind = 2))));

CREATE TABLE projection.usage_hours (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    account bigint NOT NULL,
    book bigint NOT NULL,
    hour bigint NOT NULL,
    amount numeric NOT NULL
);

CREATE TABLE projection.usage_operations (
    tenant integer NOT NULL,
    shard integer NOT NULL,
    entry_seq bigint NOT NULL,
    account bigint NOT NULL,
    operation bytea NOT NULL,
    parent bytea
);

ALTER TABLE ONLY ledger.journal ATTACH PARTITION ledger.journal_p000000 FOR VALUES FROM ('0') TO ('1000000');

ALTER TABLE ONLY ledger.journal ATTACH PARTITION ledger.journal_p000001 FOR VALUES FROM ('1000000') TO ('2000000');

ALTER TABLE ONLY ledger.journal_private ATTACH PARTITION ledger.journal_private_p000000 FOR VALUES FROM ('0') TO ('1000000');

ALTER TABLE ONLY ledger.journal_private ATTACH PARTITION ledger.journal_private_p000001 FOR VALUES FROM ('1000000') TO ('2000000');

ALTER TABLE ONLY ledger.account_alias
    ADD CONSTRAINT account_alias_pkey PRIMARY KEY (tenant, alias, effective_from);

ALTER TABLE ONLY ledger.account_directory
    ADD CONSTRAINT account_directory_number_key UNIQUE (number);

ALTER TABLE ONLY ledger.account_directory
    ADD CONSTRAINT account_directory_pkey PRIMARY KEY (tenant, account_id);

ALTER TABLE ONLY ledger.account_directory
    ADD CONSTRAINT account_directory_tenant_number_key UNIQUE (tenant, number);

ALTER TABLE ONLY ledger.api_key
    ADD CONSTRAINT api_key_pkey PRIMARY KEY (id);

ALTER TABLE ONLY ledger.api_key_revocation
    ADD CONSTRAINT api_key_revocation_pkey PRIMARY KEY (id);

ALTER TABLE ONLY ledger.change_asked
    ADD CONSTRAINT change_asked_pkey PRIMARY KEY (number);

ALTER TABLE ONLY ledger.checkpoint_family
    ADD CONSTRAINT checkpoint_family_pkey PRIMARY KEY (shard, root);

ALTER TABLE ONLY ledger.checkpoint
    ADD CONSTRAINT checkpoint_pkey PRIMARY KEY (shard);

ALTER TABLE ONLY ledger.configuration_blob
    ADD CONSTRAINT configuration_blob_pkey PRIMARY KEY (hash);

ALTER TABLE ONLY ledger.configuration
    ADD CONSTRAINT configuration_pkey PRIMARY KEY (tenant, version);

ALTER TABLE ONLY ledger.directory_change
    ADD CONSTRAINT directory_change_pkey PRIMARY KEY (version);

ALTER TABLE ONLY ledger.directory_version
    ADD CONSTRAINT directory_version_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY ledger.family_placement
    ADD CONSTRAINT family_placement_pkey PRIMARY KEY (tenant, root);

ALTER TABLE ONLY ledger.gateway_key
    ADD CONSTRAINT gateway_key_pkey PRIMARY KEY (number);

ALTER TABLE ONLY ledger.journal
    ADD CONSTRAINT journal_pkey PRIMARY KEY (shard, batch_seq);

ALTER TABLE ONLY ledger.journal_p000000
    ADD CONSTRAINT journal_p000000_pkey PRIMARY KEY (shard, batch_seq);

ALTER TABLE ONLY ledger.journal_p000001
    ADD CONSTRAINT journal_p000001_pkey PRIMARY KEY (shard, batch_seq);

ALTER TABLE ONLY ledger.journal_private
    ADD CONSTRAINT journal_private_pkey PRIMARY KEY (shard, batch_seq);

ALTER TABLE ONLY ledger.journal_private_p000000
    ADD CONSTRAINT journal_private_p000000_pkey PRIMARY KEY (shard, batch_seq);

ALTER TABLE ONLY ledger.journal_private_p000001
    ADD CONSTRAINT journal_private_p000001_pkey PRIMARY KEY (shard, batch_seq);

ALTER TABLE ONLY ledger.key_bucket
    ADD CONSTRAINT key_bucket_pkey PRIMARY KEY (shard, segment, bucket);

ALTER TABLE ONLY ledger.key_segment
    ADD CONSTRAINT key_segment_pkey PRIMARY KEY (shard, number);

ALTER TABLE ONLY ledger.parked_usage
    ADD CONSTRAINT parked_usage_pkey PRIMARY KEY (tenant, account_id, source, event_id);

ALTER TABLE ONLY ledger.seal_key
    ADD CONSTRAINT seal_key_key_id_key UNIQUE (key_id);

ALTER TABLE ONLY ledger.seal_key
    ADD CONSTRAINT seal_key_pkey PRIMARY KEY (key_seq);

ALTER TABLE ONLY ledger.seal_key
    ADD CONSTRAINT seal_key_public_key_key UNIQUE (public_key);

ALTER TABLE ONLY ledger.seal
    ADD CONSTRAINT seal_pkey PRIMARY KEY (shard, seal_seq);

ALTER TABLE ONLY ledger.server_key
    ADD CONSTRAINT server_key_pkey PRIMARY KEY (number);

ALTER TABLE ONLY ledger.server
    ADD CONSTRAINT server_pkey PRIMARY KEY (process);

ALTER TABLE ONLY ledger.server_secret
    ADD CONSTRAINT server_secret_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY ledger.settings
    ADD CONSTRAINT settings_pkey PRIMARY KEY (only_row);

ALTER TABLE ONLY ledger.shard_lease
    ADD CONSTRAINT shard_lease_pkey PRIMARY KEY (shard);

ALTER TABLE ONLY ledger.signed_token
    ADD CONSTRAINT signed_token_pkey PRIMARY KEY (token_id);

ALTER TABLE ONLY ledger.tenant
    ADD CONSTRAINT tenant_name_key UNIQUE (name);

ALTER TABLE ONLY ledger.tenant
    ADD CONSTRAINT tenant_pkey PRIMARY KEY (number);

ALTER TABLE ONLY projection.account_moves
    ADD CONSTRAINT account_moves_pkey PRIMARY KEY (tenant, shard, account, version);

ALTER TABLE ONLY projection.account_policies
    ADD CONSTRAINT account_policies_pkey PRIMARY KEY (tenant, shard, account, version);

ALTER TABLE ONLY projection.accounts
    ADD CONSTRAINT accounts_pkey PRIMARY KEY (tenant, shard, account);

ALTER TABLE ONLY projection.adjustments
    ADD CONSTRAINT adjustments_pkey PRIMARY KEY (tenant, shard, entry_seq);

ALTER TABLE ONLY projection.amendments
    ADD CONSTRAINT amendments_pkey PRIMARY KEY (tenant, shard, entry_seq);

ALTER TABLE ONLY projection.backfilled
    ADD CONSTRAINT backfilled_pkey PRIMARY KEY (tenant, shard, entry_seq, line);

ALTER TABLE ONLY projection.book_snapshots
    ADD CONSTRAINT book_snapshots_pkey PRIMARY KEY (tenant, shard, book, recorded_at);

ALTER TABLE ONLY projection.books
    ADD CONSTRAINT books_pkey PRIMARY KEY (tenant, shard, book);

ALTER TABLE ONLY projection.budget_crossings
    ADD CONSTRAINT budget_crossings_pkey PRIMARY KEY (tenant, shard, entry_seq);

ALTER TABLE ONLY projection.budget_values
    ADD CONSTRAINT budget_values_pkey PRIMARY KEY (tenant, shard, number);

ALTER TABLE ONLY projection.budget_windows
    ADD CONSTRAINT budget_windows_pkey PRIMARY KEY (tenant, shard, number, since, until);

ALTER TABLE ONLY projection.budgets
    ADD CONSTRAINT budgets_pkey PRIMARY KEY (tenant, shard, entry_seq);

ALTER TABLE ONLY projection.caps
    ADD CONSTRAINT caps_pkey PRIMARY KEY (tenant, shard, entry_seq);

ALTER TABLE ONLY projection.charge_entries
    ADD CONSTRAINT charge_entries_pkey PRIMARY KEY (tenant, shard, entry_seq);

ALTER TABLE ONLY projection.checkpoint
    ADD CONSTRAINT checkpoint_pkey PRIMARY KEY (shard);

ALTER TABLE ONLY projection.clocks
    ADD CONSTRAINT clocks_pkey PRIMARY KEY (tenant, shard);

ALTER TABLE ONLY projection.commitment_entries
    ADD CONSTRAINT commitment_entries_pkey PRIMARY KEY (tenant, shard, entry_seq);

ALTER TABLE ONLY projection.commitment_invoices
    ADD CONSTRAINT commitment_invoices_pkey PRIMARY KEY (tenant, shard, entry_seq, line);

ALTER TABLE ONLY projection.commitment_segments
    ADD CONSTRAINT commitment_segments_pkey PRIMARY KEY (tenant, shard, grant_number);

ALTER TABLE ONLY projection.commitments
    ADD CONSTRAINT commitments_pkey PRIMARY KEY (tenant, shard, number);

ALTER TABLE ONLY projection.contract_entries
    ADD CONSTRAINT contract_entries_pkey PRIMARY KEY (tenant, shard, entry_seq);

ALTER TABLE ONLY projection.debts_since
    ADD CONSTRAINT debts_since_pkey PRIMARY KEY (tenant, shard, account, asset, recorded_at);

ALTER TABLE ONLY projection.decision_policies
    ADD CONSTRAINT decision_policies_pkey PRIMARY KEY (tenant, shard, entry_seq);

ALTER TABLE ONLY projection.denials
    ADD CONSTRAINT denials_pkey PRIMARY KEY (tenant, shard, entry_seq);

ALTER TABLE ONLY projection.entry_actors
    ADD CONSTRAINT entry_actors_pkey PRIMARY KEY (tenant, shard, entry_seq);

ALTER TABLE ONLY projection.fee_lines
    ADD CONSTRAINT fee_lines_pkey PRIMARY KEY (tenant, shard, entry_seq);

ALTER TABLE ONLY projection.gauge_entries
    ADD CONSTRAINT gauge_entries_pkey PRIMARY KEY (tenant, shard, entry_seq);

ALTER TABLE ONLY projection.grant_sharings
    ADD CONSTRAINT grant_sharings_pkey PRIMARY KEY (tenant, shard, entry_seq);

ALTER TABLE ONLY projection.grants
    ADD CONSTRAINT grants_pkey PRIMARY KEY (tenant, shard, number);

ALTER TABLE ONLY projection.hold_sizes
    ADD CONSTRAINT hold_sizes_pkey PRIMARY KEY (tenant, shard, hold, quantity);

ALTER TABLE ONLY projection.holds
    ADD CONSTRAINT holds_pkey PRIMARY KEY (tenant, shard, number);

ALTER TABLE ONLY projection.lease_entries
    ADD CONSTRAINT lease_entries_pkey PRIMARY KEY (tenant, shard, entry_seq);

ALTER TABLE ONLY projection.lifetime_values
    ADD CONSTRAINT lifetime_values_pkey PRIMARY KEY (tenant, shard, account, asset, recorded_at);

ALTER TABLE ONLY projection.mandate_entries
    ADD CONSTRAINT mandate_entries_pkey PRIMARY KEY (tenant, shard, entry_seq);

ALTER TABLE ONLY projection.mandate_purchases
    ADD CONSTRAINT mandate_purchases_pkey PRIMARY KEY (tenant, shard, entry_seq);

ALTER TABLE ONLY projection.manual_adjustments
    ADD CONSTRAINT manual_adjustments_pkey PRIMARY KEY (tenant, shard, entry_seq);

ALTER TABLE ONLY projection.minimums
    ADD CONSTRAINT minimums_pkey PRIMARY KEY (tenant, shard, entry_seq);

ALTER TABLE ONLY projection.package_phases
    ADD CONSTRAINT package_phases_pkey PRIMARY KEY (tenant, shard, entry_seq);

ALTER TABLE ONLY projection.plans
    ADD CONSTRAINT plans_pkey PRIMARY KEY (tenant, shard, plan);

ALTER TABLE ONLY projection.ratings
    ADD CONSTRAINT ratings_pkey PRIMARY KEY (tenant, shard, original_entry, entry_seq);

ALTER TABLE ONLY projection.recurring_grants
    ADD CONSTRAINT recurring_grants_pkey PRIMARY KEY (tenant, shard, number);

ALTER TABLE ONLY projection.recurring_issues
    ADD CONSTRAINT recurring_issues_pkey PRIMARY KEY (tenant, shard, entry_seq);

ALTER TABLE ONLY projection.reversals
    ADD CONSTRAINT reversals_pkey PRIMARY KEY (tenant, shard, entry_seq);

ALTER TABLE ONLY projection.rulings
    ADD CONSTRAINT rulings_pkey PRIMARY KEY (tenant, shard, entry_seq);

ALTER TABLE ONLY projection.runway_crossings
    ADD CONSTRAINT runway_crossings_pkey PRIMARY KEY (tenant, shard, entry_seq);

ALTER TABLE ONLY projection.runway_rules
    ADD CONSTRAINT runway_rules_pkey PRIMARY KEY (tenant, shard, entry_seq);

ALTER TABLE ONLY projection.seat_alerts
    ADD CONSTRAINT seat_alerts_pkey PRIMARY KEY (tenant, shard, entry_seq);

ALTER TABLE ONLY projection.seat_entries
    ADD CONSTRAINT seat_entries_pkey PRIMARY KEY (tenant, shard, entry_seq, seat);

ALTER TABLE ONLY projection.seat_issues
    ADD CONSTRAINT seat_issues_pkey PRIMARY KEY (tenant, shard, entry_seq, grant_number);

ALTER TABLE ONLY projection.seat_plan_entries
    ADD CONSTRAINT seat_plan_entries_pkey PRIMARY KEY (tenant, shard, entry_seq);

ALTER TABLE ONLY projection.shared_rerates
    ADD CONSTRAINT shared_rerates_pkey PRIMARY KEY (tenant, shard, entry_seq);

ALTER TABLE ONLY projection.sizing_progress
    ADD CONSTRAINT sizing_progress_pkey PRIMARY KEY (tenant, shard, product, attributes);

ALTER TABLE ONLY projection.sizing_sketches
    ADD CONSTRAINT sizing_sketches_pkey PRIMARY KEY (tenant, product, attributes, attr_values, account, quantity, fortnight, shard);

ALTER TABLE ONLY projection.statement_entries
    ADD CONSTRAINT statement_entries_pkey PRIMARY KEY (tenant, shard, entry_seq);

ALTER TABLE ONLY projection.statements_to_close
    ADD CONSTRAINT statements_to_close_pkey PRIMARY KEY (tenant, shard, account, statement);

ALTER TABLE ONLY projection.status
    ADD CONSTRAINT status_pkey PRIMARY KEY (shard);

ALTER TABLE ONLY projection.subscription_entries
    ADD CONSTRAINT subscription_entries_pkey PRIMARY KEY (tenant, shard, entry_seq);

ALTER TABLE ONLY projection.top_up_rules
    ADD CONSTRAINT top_up_rules_pkey PRIMARY KEY (tenant, shard, entry_seq);

ALTER TABLE ONLY projection.top_ups
    ADD CONSTRAINT top_ups_pkey PRIMARY KEY (tenant, shard, number);

ALTER TABLE ONLY projection.transfers
    ADD CONSTRAINT transfers_pkey PRIMARY KEY (tenant, shard, entry_seq, line);

ALTER TABLE ONLY projection.unpaid_grants
    ADD CONSTRAINT unpaid_grants_pkey PRIMARY KEY (tenant, shard, entry_seq);

ALTER TABLE ONLY projection.usage_costs
    ADD CONSTRAINT usage_costs_pkey PRIMARY KEY (tenant, shard, entry_seq);

ALTER TABLE ONLY projection.usage_events
    ADD CONSTRAINT usage_events_pkey PRIMARY KEY (tenant, shard, entry_seq);

ALTER TABLE ONLY projection.usage_follow_ups
    ADD CONSTRAINT usage_follow_ups_pkey PRIMARY KEY (tenant, shard, entry_seq);

ALTER TABLE ONLY projection.usage_hours
    ADD CONSTRAINT usage_hours_pkey PRIMARY KEY (tenant, account, hour, shard, book);

ALTER TABLE ONLY projection.usage_operations
    ADD CONSTRAINT usage_operations_pkey PRIMARY KEY (tenant, shard, entry_seq);

ALTER TABLE ONLY projection.waiting
    ADD CONSTRAINT waiting_pkey PRIMARY KEY (tenant, shard, entry_seq);

CREATE INDEX account_alias_account ON ledger.account_alias USING btree (tenant, account);

CREATE INDEX account_directory_children ON ledger.account_directory USING btree (tenant, parent, account_id);

CREATE INDEX account_directory_family ON ledger.account_directory USING btree (tenant, root);

CREATE INDEX account_directory_to_blank ON ledger.account_directory USING btree (tenant, number) WHERE ((state = 3) AND (blanked_at IS NULL));

CREATE INDEX change_asked_by_tenant ON ledger.change_asked USING btree (tenant, number);

CREATE INDEX configuration_by_name ON ledger.configuration USING btree (tenant, kind, name, version);

CREATE UNIQUE INDEX seal_entries ON ledger.seal USING btree (shard, next_entry);

CREATE INDEX account_moves_before ON projection.account_moves USING btree (tenant, before);

CREATE INDEX accounts_parent ON projection.accounts USING btree (tenant, parent, account) WHERE (parent IS NOT NULL);

CREATE INDEX adjustments_account ON projection.adjustments USING btree (tenant, account, period, entry_seq);

CREATE INDEX books_of_accounts ON projection.books USING btree (tenant, owner) WHERE (kind = ANY (ARRAY[2, 3]));

CREATE INDEX books_of_payers ON projection.books USING btree (tenant, owner) WHERE (kind = ANY (ARRAY[13, 14]));

CREATE INDEX budget_crossings_account ON projection.budget_crossings USING btree (tenant, account, recorded_at);

CREATE INDEX budget_crossings_entry ON projection.budget_crossings USING btree (shard, entry_seq);

CREATE INDEX budget_values_budget ON projection.budget_values USING btree (tenant, shard, budget, value) WHERE (closed_at IS NULL);

CREATE INDEX budgets_account ON projection.budgets USING btree (tenant, account, number, entry_seq);

CREATE INDEX caps_account ON projection.caps USING btree (tenant, account, number, entry_seq);

CREATE INDEX caps_below ON projection.caps USING btree (tenant, below, entry_seq);

CREATE INDEX charge_entries_account ON projection.charge_entries USING btree (tenant, account, charge, entry_seq);

CREATE INDEX commitment_entries_of ON projection.commitment_entries USING btree (tenant, shard, commitment);

CREATE INDEX commitment_invoices_of ON projection.commitment_invoices USING btree (tenant, shard, commitment);

CREATE INDEX commitment_segments_of ON projection.commitment_segments USING btree (tenant, shard, commitment);

CREATE INDEX commitments_account ON projection.commitments USING btree (tenant, account, number);

CREATE INDEX contract_entries_account ON projection.contract_entries USING btree (tenant, account, entry_seq);

CREATE INDEX decision_policies_account ON projection.decision_policies USING btree (tenant, account, entry_seq);

CREATE INDEX entry_actors_account ON projection.entry_actors USING btree (tenant, account, entry_seq);

CREATE INDEX fee_lines_account ON projection.fee_lines USING btree (tenant, account, effective_at);

CREATE INDEX fee_lines_charge ON projection.fee_lines USING btree (tenant, charge, period);

CREATE INDEX gauge_entries_account ON projection.gauge_entries USING btree (tenant, account, gauge, scope_start, scope_end, entry_seq);

CREATE INDEX grant_sharings_account ON projection.grant_sharings USING btree (tenant, account, entry_seq);

CREATE INDEX grants_account ON projection.grants USING btree (tenant, account, number);

CREATE INDEX hold_sizes_time ON projection.hold_sizes USING btree (tenant, recorded_at);

CREATE INDEX holds_open ON projection.holds USING btree (tenant, account, number) WHERE (state = 0);

CREATE INDEX lease_entries_account ON projection.lease_entries USING btree (tenant, account, lease, entry_seq);

CREATE INDEX mandate_entries_account ON projection.mandate_entries USING btree (tenant, account, entry_seq);

CREATE INDEX mandate_purchases_counted ON projection.mandate_purchases USING gin (counted);

CREATE INDEX mandate_purchases_grant ON projection.mandate_purchases USING btree (tenant, shard, grant_number);

CREATE INDEX manual_adjustments_account ON projection.manual_adjustments USING btree (tenant, account, recorded_at, entry_seq);

CREATE INDEX minimums_account ON projection.minimums USING btree (tenant, account, period_start);

CREATE INDEX package_phases_account ON projection.package_phases USING btree (tenant, account, entry_seq);

CREATE UNIQUE INDEX ratings_entry ON projection.ratings USING btree (tenant, shard, entry_seq);

CREATE INDEX recurring_grants_account ON projection.recurring_grants USING btree (tenant, account, number);

CREATE INDEX recurring_issues_grant ON projection.recurring_issues USING btree (tenant, shard, grant_number);

CREATE UNIQUE INDEX recurring_issues_period ON projection.recurring_issues USING btree (tenant, shard, recurring, period_start) WHERE (cause = 1);

CREATE INDEX reversals_account ON projection.reversals USING btree (tenant, account, recorded_at, entry_seq);

CREATE INDEX reversals_original ON projection.reversals USING btree (tenant, shard, original_entry);

CREATE INDEX rulings_account ON projection.rulings USING btree (tenant, account, entry_seq);

CREATE INDEX runway_crossings_account ON projection.runway_crossings USING btree (tenant, account, recorded_at);

CREATE INDEX runway_rules_account ON projection.runway_rules USING btree (shard, account, asset, entry_seq);

CREATE INDEX seat_alerts_account ON projection.seat_alerts USING btree (tenant, account, entry_seq);

CREATE INDEX seat_entries_account ON projection.seat_entries USING btree (tenant, account, plan, seat, entry_seq);

CREATE INDEX seat_issues_account ON projection.seat_issues USING btree (tenant, account, plan, seat, entry_seq);

CREATE INDEX seat_issues_grant ON projection.seat_issues USING btree (tenant, shard, grant_number);

CREATE INDEX seat_plan_entries_account ON projection.seat_plan_entries USING btree (tenant, account, plan, entry_seq);

CREATE INDEX shared_rerates_account ON projection.shared_rerates USING btree (tenant, account, effective_at);

CREATE INDEX shared_rerates_cause ON projection.shared_rerates USING btree (tenant, shard, cause_entry);

CREATE INDEX sizing_sketches_oldest ON projection.sizing_sketches USING btree (tenant, shard, last_entry);

CREATE INDEX statement_entries_account ON projection.statement_entries USING btree (tenant, account, entry_seq);

CREATE INDEX subscription_entries_account ON projection.subscription_entries USING btree (tenant, account, entry_seq);

CREATE INDEX subscription_entries_package ON projection.subscription_entries USING btree (tenant, package, account) WHERE (package IS NOT NULL);

CREATE INDEX top_up_rules_account ON projection.top_up_rules USING btree (tenant, account, asset, entry_seq);

CREATE INDEX top_ups_account ON projection.top_ups USING btree (tenant, account, number);

CREATE INDEX top_ups_pending ON projection.top_ups USING btree (tenant, requested_at) WHERE (state = 1);

CREATE INDEX transfers_credits ON projection.transfers USING btree (shard, credit_book, ledger.lateness(effective_at, recorded_at), recorded_at) WHERE (pot = 0);

CREATE INDEX transfers_debits ON projection.transfers USING btree (shard, debit_book, ledger.lateness(effective_at, recorded_at), recorded_at);

CREATE INDEX transfers_no_draws ON projection.transfers USING btree (shard, debit_book) WHERE (pot = 0);

CREATE INDEX unpaid_grants_grant ON projection.unpaid_grants USING btree (tenant, shard, grant_number);

CREATE INDEX usage_events_account ON projection.usage_events USING btree (tenant, account, entry_seq);

CREATE INDEX usage_events_effective ON projection.usage_events USING brin (effective_at) WITH (autosummarize='on');

CREATE INDEX usage_events_id ON projection.usage_events USING btree (tenant, event_id, account) WHERE (event_id IS NOT NULL);

CREATE INDEX usage_follow_ups_of ON projection.usage_follow_ups USING btree (tenant, shard, original_entry);

CREATE INDEX usage_hours_book ON projection.usage_hours USING btree (tenant, shard, book, hour);

CREATE INDEX usage_operations_of ON projection.usage_operations USING btree (tenant, operation);

CREATE INDEX usage_operations_parent ON projection.usage_operations USING btree (tenant, parent) WHERE (parent IS NOT NULL);

CREATE INDEX waiting_recorded ON projection.waiting USING btree (tenant, recorded_at, shard, entry_seq);

ALTER INDEX ledger.journal_pkey ATTACH PARTITION ledger.journal_p000000_pkey;

ALTER INDEX ledger.journal_pkey ATTACH PARTITION ledger.journal_p000001_pkey;

ALTER INDEX ledger.journal_private_pkey ATTACH PARTITION ledger.journal_private_p000000_pkey;

ALTER INDEX ledger.journal_private_pkey ATTACH PARTITION ledger.journal_private_p000001_pkey;

CREATE CONSTRAINT TRIGGER account_erased AFTER UPDATE ON ledger.account_directory DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (((new.state = 3) AND (old.state <> 3))) EXECUTE FUNCTION ledger.account_erased();

CREATE CONSTRAINT TRIGGER alias_changed AFTER INSERT OR UPDATE ON ledger.account_alias DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger.alias_changed();

CREATE CONSTRAINT TRIGGER alias_erased AFTER DELETE ON ledger.account_alias DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger.alias_erased();

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.api_key FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();

ALTER TABLE ledger.api_key ENABLE ALWAYS TRIGGER append_only;

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.api_key_revocation FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();

ALTER TABLE ledger.api_key_revocation ENABLE ALWAYS TRIGGER append_only;

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.change_asked FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();

ALTER TABLE ledger.change_asked ENABLE ALWAYS TRIGGER append_only;

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.configuration FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();

ALTER TABLE ledger.configuration ENABLE ALWAYS TRIGGER append_only;

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.configuration_blob FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();

ALTER TABLE ledger.configuration_blob ENABLE ALWAYS TRIGGER append_only;

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.gateway_key FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();

ALTER TABLE ledger.gateway_key ENABLE ALWAYS TRIGGER append_only;

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.journal FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();

ALTER TABLE ledger.journal ENABLE ALWAYS TRIGGER append_only;

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.journal_p000000 FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();

ALTER TABLE ledger.journal_p000000 ENABLE ALWAYS TRIGGER append_only;

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.journal_p000001 FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();

ALTER TABLE ledger.journal_p000001 ENABLE ALWAYS TRIGGER append_only;

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.seal FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();

ALTER TABLE ledger.seal ENABLE ALWAYS TRIGGER append_only;

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.seal_key FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();

ALTER TABLE ledger.seal_key ENABLE ALWAYS TRIGGER append_only;

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.server_key FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();

ALTER TABLE ledger.server_key ENABLE ALWAYS TRIGGER append_only;

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.server_secret FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();

ALTER TABLE ledger.server_secret ENABLE ALWAYS TRIGGER append_only;

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.settings FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();

ALTER TABLE ledger.settings ENABLE ALWAYS TRIGGER append_only;

CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON ledger.signed_token FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();

ALTER TABLE ledger.signed_token ENABLE ALWAYS TRIGGER append_only;

ALTER TABLE ONLY ledger.account_alias
    ADD CONSTRAINT account_alias_tenant_account_fkey FOREIGN KEY (tenant, account) REFERENCES ledger.account_directory(tenant, number);

ALTER TABLE ONLY ledger.account_alias
    ADD CONSTRAINT account_alias_tenant_fkey FOREIGN KEY (tenant) REFERENCES ledger.tenant(number);

ALTER TABLE ONLY ledger.account_directory
    ADD CONSTRAINT account_directory_tenant_fkey FOREIGN KEY (tenant) REFERENCES ledger.tenant(number);

ALTER TABLE ONLY ledger.account_directory
    ADD CONSTRAINT account_directory_tenant_parent_fkey FOREIGN KEY (tenant, parent) REFERENCES ledger.account_directory(tenant, number);

ALTER TABLE ONLY ledger.api_key_revocation
    ADD CONSTRAINT api_key_revocation_id_fkey FOREIGN KEY (id) REFERENCES ledger.api_key(id);

ALTER TABLE ONLY ledger.api_key
    ADD CONSTRAINT api_key_tenant_fkey FOREIGN KEY (tenant) REFERENCES ledger.tenant(number);

ALTER TABLE ONLY ledger.configuration
    ADD CONSTRAINT configuration_content_hash_fkey FOREIGN KEY (content_hash) REFERENCES ledger.configuration_blob(hash);

ALTER TABLE ONLY ledger.configuration
    ADD CONSTRAINT configuration_tenant_fkey FOREIGN KEY (tenant) REFERENCES ledger.tenant(number);

ALTER TABLE ONLY ledger.family_placement
    ADD CONSTRAINT family_placement_tenant_fkey FOREIGN KEY (tenant) REFERENCES ledger.tenant(number);

ALTER TABLE ONLY ledger.parked_usage
    ADD CONSTRAINT parked_usage_tenant_fkey FOREIGN KEY (tenant) REFERENCES ledger.tenant(number);

ALTER TABLE ONLY ledger.seal
    ADD CONSTRAINT seal_key_id_fkey FOREIGN KEY (key_id) REFERENCES ledger.seal_key(key_id);

ALTER TABLE ONLY ledger.signed_token
    ADD CONSTRAINT signed_token_tenant_fkey FOREIGN KEY (tenant) REFERENCES ledger.tenant(number);

REVOKE ALL ON FUNCTION ledger.create_account_moves(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.create_contracts(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.create_costs(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.create_fixed_charges(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.create_outcomes(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.create_package_charges(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.create_packages(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.create_projection(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.create_projection_before_contracts(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.create_projection_before_fixed_charges(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.create_projection_before_outcomes(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.create_projection_before_package_charges(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.create_projection_before_packages(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.create_projection_before_seats(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.create_projection_before_shared_rerates(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.create_projection_before_statements(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.create_projection_without_budget_values(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.create_projection_without_budgets(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.create_projection_without_entry_actors(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.create_projection_without_gauges(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.create_projection_without_lease_operations(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.create_projection_without_leases(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.create_projection_without_mandates(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.create_projection_without_minimums(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.create_projection_without_policies(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.create_projection_without_runways(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.create_projection_without_sizing(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.create_projection_without_suspense(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.create_projection_without_usage_hours(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.create_seats(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.create_shared_rerates(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.create_statements(name text) FROM PUBLIC;

REVOKE ALL ON FUNCTION ledger.ensure_partitions(through bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION ledger.grant_projection(name text) FROM PUBLIC;


INSERT INTO ledger.directory_version (only_row, version) VALUES ('true', '0');
INSERT INTO ledger.tenant (name, kind) VALUES ('default', '1');
INSERT INTO ledger.tenant (name, kind) VALUES ('sandbox', '2');
