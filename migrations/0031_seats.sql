-- Plans of seats stand in the read models: each change and period of a plan, each seat as it was from
-- then on, what seats were granted, and what was told of them. No journal from before holds one.

CREATE FUNCTION ledger.create_seats(name text) RETURNS void LANGUAGE plpgsql AS $create$
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
END $create$;

ALTER FUNCTION ledger.create_projection(text) RENAME TO create_projection_before_seats;

CREATE FUNCTION ledger.create_projection(name text) RETURNS void LANGUAGE plpgsql AS $create$
BEGIN
    PERFORM ledger.create_projection_before_seats(name);
    PERFORM ledger.create_seats(name);
    PERFORM ledger.grant_projection(name);
END $create$;
REVOKE EXECUTE ON FUNCTION ledger.create_projection(text), ledger.create_seats(text) FROM PUBLIC;

SELECT ledger.create_seats('projection');
SELECT ledger.grant_projection('projection');
