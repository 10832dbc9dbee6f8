-- The second shape of the read models (see 0010). They are derived: the tables of the first shape go,
-- and the projector fills the new ones from the journal.

-- How late a transfer was recorded, in classes: class n holds what was recorded at most 8^n seconds
-- after it was effective, and more than the class before; 9 holds the rest.
CREATE FUNCTION ledger.lateness(effective_at bigint, recorded_at bigint) RETURNS int
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN width_bucket(recorded_at - effective_at - 1, '{1000000, 8000000, 64000000, 512000000,
    4096000000, 32768000000, 262144000000, 2097152000000, 16777216000000}'::bigint[]);

CREATE OR REPLACE FUNCTION ledger.create_projection(name text) RETURNS void LANGUAGE plpgsql AS $create$
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
END $create$;

DROP SCHEMA IF EXISTS projection CASCADE;
SELECT ledger.create_projection('projection');
