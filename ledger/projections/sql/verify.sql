-- name: exists
-- Whether there are read models at all.
SELECT to_regclass('projection.checkpoint') IS NOT NULL

-- name: position
-- Where the read models of a shard stand.
SELECT batch_seq, entries, hash FROM projection.checkpoint WHERE shard = $1

-- name: books
-- Every book with its counters, and the sums of the transfers that touch it.
WITH lines AS (
    SELECT book, sum(debit) FILTER (WHERE phase = 2) AS debits_posted,
           sum(credit) FILTER (WHERE phase = 2) AS credits_posted,
           sum(CASE phase WHEN 1 THEN debit WHEN 3 THEN -debit END) AS debits_pending,
           sum(CASE phase WHEN 1 THEN credit WHEN 3 THEN -credit END) AS credits_pending
    FROM (SELECT debit_book AS book, phase, sum(amount) AS debit, 0 AS credit
          FROM projection.transfers WHERE shard = $1 GROUP BY debit_book, phase
          UNION ALL
          SELECT credit_book, phase, 0, sum(amount)
          FROM projection.transfers WHERE shard = $1 GROUP BY credit_book, phase) t
    GROUP BY book
)
SELECT coalesce(b.book, l.book) AS book, b.tenant, b.kind, b.asset, b.owner, b.name,
       b.debits_posted, b.credits_posted, b.debits_pending, b.credits_pending,
       coalesce(l.debits_posted, 0), coalesce(l.credits_posted, 0),
       coalesce(l.debits_pending, 0), coalesce(l.credits_pending, 0)
FROM (SELECT * FROM projection.books WHERE shard = $1) b FULL JOIN lines l ON l.book = b.book

-- name: accounts
-- Every account.
SELECT account, tenant, coalesce(parent, 0), root, policy::text, version, created_at,
       coalesce(closed_at, 0), coalesce(reopened_at, 0), coalesce(frozen_at, 0), profile_version
FROM projection.accounts WHERE shard = $1

-- name: limits
-- What limits rest on by now: lifetime values, and since when accounts owe.
SELECT 1, account, asset, value FROM (
    SELECT DISTINCT ON (account, asset) account, asset, value FROM projection.lifetime_values
    WHERE shard = $1 ORDER BY account, asset, recorded_at DESC) v WHERE value <> 0
UNION ALL
SELECT 2, account, asset, since FROM (
    SELECT DISTINCT ON (account, asset) account, asset, since FROM projection.debts_since
    WHERE shard = $1 ORDER BY account, asset, recorded_at DESC) d WHERE since IS NOT NULL

-- name: grants
-- Every grant with what its book says.
SELECT number, tenant, account, ordinal, kind, state, asset, amount, price_paid, price_asset,
       priority, effective_at, expires_at, products, tags, attributes::text, shared, book,
       funding_book, coalesce(cash_book, 0), coalesce(deferred_book, 0), coalesce(origin, 0), drawn,
       recognised, held, rolled, cancelled, returned, coalesce(recurring, 0),
       coalesce(commitment, 0)
FROM projection.grant_balances WHERE shard = $1

-- name: holds
-- Every open hold.
SELECT number, tenant, account, asset, amount, expires_at, captured, captures, reported_at
FROM projection.holds
WHERE shard = $1 AND state = 0

-- name: recurring
-- Every recurring grant with the grants that it issued.
SELECT r.number, r.tenant, r.account, r.paused, r.version, r.terms::text, r.next_terms::text,
       r.starts_at, r.ends_at, r.next_at, r.period_start, r.period_end, r.created_at,
       ARRAY(SELECT i.grant_number FROM projection.recurring_issues i
             WHERE i.tenant = r.tenant AND i.shard = r.shard AND i.recurring = r.number
               AND i.grant_number IS NOT NULL ORDER BY i.grant_number)
FROM projection.recurring_grants r WHERE r.shard = $1

-- name: commitments
-- Every commitment with its segments, what is planned and what was invoiced, and its early end.
SELECT m.number, m.tenant, m.account, m.terms::text, m.created_at,
       ARRAY(SELECT s.grant_number FROM projection.commitment_segments s
             WHERE s.tenant = m.tenant AND s.shard = m.shard AND s.commitment = m.number
             ORDER BY s.grant_number),
       ARRAY(SELECT i.due_at FROM projection.commitment_invoices i
             WHERE i.tenant = m.tenant AND i.shard = m.shard AND i.commitment = m.number
             ORDER BY i.due_at),
       coalesce((SELECT sum(i.amount) FROM projection.commitment_invoices i
                 WHERE i.tenant = m.tenant AND i.shard = m.shard AND i.commitment = m.number), 0),
       ARRAY(SELECT e.due_at FROM projection.commitment_entries e
             WHERE e.tenant = m.tenant AND e.shard = m.shard AND e.commitment = m.number
               AND e.kind = 1 ORDER BY e.due_at),
       coalesce((SELECT sum(e.amount) FROM projection.commitment_entries e
                 WHERE e.tenant = m.tenant AND e.shard = m.shard AND e.commitment = m.number
                   AND e.kind = 1), 0),
       coalesce(d.recorded_at, 0), coalesce(d.ending, 0), coalesce(d.target, 0)
FROM projection.commitments m
LEFT JOIN projection.commitment_entries d
       ON d.tenant = m.tenant AND d.shard = m.shard AND d.commitment = m.number AND d.kind = 2
WHERE m.shard = $1

-- name: usage
-- Usage events by asset and outcome.
SELECT tenant, asset, outcome, count(*), sum(charge) FROM projection.usage_events
WHERE shard = $1 GROUP BY tenant, asset, outcome

-- name: waiting
-- Usage events of which something waits for a price.
SELECT entry_seq, tenant, account, effective_at, quantities, reasons
FROM projection.waiting WHERE shard = $1

-- name: costs
-- What providers took, and took less since, by the asset of the money.
SELECT tenant, asset, sum(cost), sum(given_back) FROM projection.usage_costs
WHERE shard = $1 GROUP BY tenant, asset

-- name: usage_hours
-- What usage of each account drew: in all, times the hours since 1970, and times the books.
SELECT account, sum(amount), sum(amount * (hour / 3600000000)), sum(amount * book)
FROM projection.usage_hours WHERE shard = $1 GROUP BY account

-- name: denials
-- Denied authorisations.
SELECT count(*) FROM projection.denials WHERE shard = $1

-- name: gauges
-- What gauges show that are not charged yet.
SELECT account, gauge, scope_start, scope_end, tenant, level
FROM projection.gauges WHERE shard = $1 AND NOT charged AND level <> '{}'

-- name: top_ups
-- Every charge that was asked for.
SELECT number, tenant, account, state, asset, amount, price_paid, price_asset, source, version,
       available::text, requested_at, expires_at, settled_at, grant_number
FROM projection.top_ups WHERE shard = $1

-- name: top_up_rules
-- The newest rule of each account and asset; NULL = it was removed.
SELECT DISTINCT ON (account, asset) account, asset, rule::text
FROM projection.top_up_rules WHERE shard = $1 ORDER BY account, asset, entry_seq DESC

-- name: runways
-- The runway alerts in force, and what was told last by each.
SELECT account, asset, version, hours, rearm_hours, short, crossings, coalesce(crossed_at, 0),
       coalesce(empty_at, 0), coalesce(available::text, ''), coalesce(needed::text, '')
FROM projection.runway_alerts WHERE shard = $1

-- name: decision_policies
-- The newest rules of each account, its own (package '') and those that its package carries.
SELECT DISTINCT ON (account, package <> '') account, tenant, package, version, rules::text
FROM projection.decision_policies WHERE shard = $1
ORDER BY account, package <> '', entry_seq DESC

-- name: subscriptions
-- The subscription of each account as it is.
SELECT account, tenant, package, version, period_start, period_end, over
FROM projection.subscriptions WHERE shard = $1

-- name: fixed_charges
-- Each fixed charge as it is, with what its last period was charged.
SELECT c.charge, c.tenant, c.account, c.name, c.quantity, c.period, c.period_start, c.ends_at,
       coalesce((SELECT sum(l.amount) FROM projection.fee_lines l
                 WHERE l.tenant = c.tenant AND l.shard = c.shard AND l.charge = c.charge
                   AND l.period = c.period), 0)::bigint
FROM projection.fixed_charges c WHERE c.shard = $1

-- name: seat_plans
-- The plans of seats as they are, each with the seats that somebody has or that have allowances of
-- their own: number, name, until when, suspended.
SELECT p.account, p.plan, p.tenant, p.terms::text, p.period_start, p.period_end, p.unassigned,
       p.leaving, p.largest, p.released, p.ends_at, p.version,
       coalesce(
           (
               SELECT json_agg(json_build_array(s.seat, s.name, s.until, s.suspended)
                               ORDER BY s.seat)
               FROM projection.seats s
               WHERE s.tenant = p.tenant AND s.account = p.account AND s.plan = p.plan
           ),
           '[]'
       )::text
FROM projection.seat_plans p WHERE p.shard = $1
-- name: statements
-- What is asked for of each account's statements, and how far they are.
SELECT account, tenant,
       max(version), (array_agg(form ORDER BY entry_seq) FILTER (WHERE change = 1))[
           count(*) FILTER (WHERE change = 1)],
       count(*) FILTER (WHERE change = 2), max(period_end) FILTER (WHERE change = 2),
       (SELECT count(*) FROM projection.statements_to_close c
        WHERE c.tenant = e.tenant AND c.shard = $1 AND c.account = e.account)
FROM projection.statement_entries e WHERE shard = $1 GROUP BY tenant, account

-- name: clocks
-- How far clocks of tenants are ahead.
SELECT tenant, ahead FROM projection.clocks WHERE shard = $1

-- name: budgets
-- The newest terms of each budget; NULL = it was removed.
SELECT DISTINCT ON (number) number, tenant, account, name, version, terms::text
FROM projection.budgets WHERE shard = $1 ORDER BY number, entry_seq DESC

-- name: budget_values
-- The counters that values have.
SELECT number, tenant, account, budget, value
FROM projection.budget_values WHERE shard = $1 AND closed_at IS NULL

-- name: budget_windows
-- What budgets have counted, by window.
SELECT number, since, until, posted::text, pending::text
FROM projection.budget_windows WHERE shard = $1

-- name: contracts
-- The contracts of each account as they are.
SELECT account, contract, tenant, package, version, starts_at, ends_at, auto_renew, state
FROM projection.contracts WHERE shard = $1
