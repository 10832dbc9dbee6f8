-- name: session
-- Losing the last transactions in a crash of the database only moves the checkpoint back with them.
-- A large batch is folded while the transaction waits.
SET synchronous_commit = off;
SET idle_in_transaction_session_timeout = '120s';
SET jit = off

-- name: make_checkpoints
-- A row a shard, once.
INSERT INTO checkpoint (shard) SELECT generate_series(0, $1::int - 1) ON CONFLICT DO NOTHING

-- name: lock
-- The shard is ours until the transaction ends; no row: another projector has it.
SELECT batch_seq, entries, recorded_at, hash, scrubs FROM checkpoint WHERE shard = $1
FOR UPDATE SKIP LOCKED

-- name: glance
-- Where a shard stands, without its lock, and where its journal ends.
SELECT c.batch_seq, c.entries, c.recorded_at, c.hash, c.scrubs,
       coalesce(j.batch_seq, 0), coalesce(j.first_event + j.event_count, 0)
FROM checkpoint c
LEFT JOIN LATERAL (SELECT batch_seq, first_event, event_count FROM ledger.journal
                   WHERE shard = $1 ORDER BY batch_seq DESC LIMIT 1) j ON true
WHERE c.shard = $1

-- name: advance
-- The checkpoint of the rows that this transaction wrote, only where it continues the last one.
UPDATE checkpoint SET batch_seq = $2, entries = $3, recorded_at = $4, hash = $5
WHERE shard = $1 AND batch_seq = $6

-- name: report
-- How far behind the journal the shard is now.
INSERT INTO status AS s
    (shard, entries, head_entries, lag_entries, lag_us, measured_at, measured_by)
SELECT $1::int, $2::bigint, $3::bigint, $3::bigint - $2::bigint,
       CASE WHEN $3::bigint > $2::bigint THEN greatest(t.now - $4::bigint, 0) ELSE 0 END,
       t.now, $5::text
FROM (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now) t
ON CONFLICT (shard) DO UPDATE SET entries = excluded.entries, head_entries = excluded.head_entries,
    lag_entries = excluded.lag_entries, lag_us = excluded.lag_us,
    measured_at = excluded.measured_at, measured_by = excluded.measured_by
RETURNING lag_us

-- name: tenants_of
-- Which tenants these accounts belong to.
SELECT account, tenant FROM accounts
WHERE tenant IN (SELECT number FROM ledger.tenant) AND shard = $1 AND account = ANY($2::bigint[])

-- name: grants_of
-- Where these grants' units are.
SELECT number, tenant, asset, book, funding_book, coalesce(cash_book, 0), coalesce(deferred_book, 0),
       price_asset FROM grants
WHERE tenant IN (SELECT number FROM ledger.tenant) AND shard = $1 AND number = ANY($2::bigint[])

-- name: grants_of_books
-- The grants that these books belong to; 0 = a book of something else.
SELECT book, CASE WHEN kind = 1 THEN owner ELSE 0 END FROM books
WHERE tenant IN (SELECT number FROM ledger.tenant) AND shard = $1 AND book = ANY($2::bigint[])

-- name: value_books_of
-- What pays in money for what is drawn from these books: a grant's deferred, or the unbilled that was
-- there when an overage book was opened; and in which money.
SELECT b.book, coalesce(g.deferred_book, u.book, 0), coalesce(g.price_asset, b.asset)
FROM books b
LEFT JOIN grants g ON b.kind = 1 AND g.tenant = b.tenant AND g.shard = b.shard
                  AND g.number = b.owner
LEFT JOIN books u ON b.kind = 3 AND u.tenant = b.tenant AND u.shard = b.shard AND u.kind = 13
                 AND u.owner = b.owner AND u.asset = b.asset AND u.book < b.book
WHERE b.tenant IN (SELECT number FROM ledger.tenant) AND b.shard = $1
  AND b.book = ANY($2::bigint[])

-- name: unbilled_of
-- Accounts that have an unbilled book.
SELECT owner, asset, book FROM books
WHERE tenant IN (SELECT number FROM ledger.tenant) AND shard = $1 AND kind = 13
  AND owner = ANY($2::bigint[])

-- name: revenues
-- Every revenue book of the shard.
SELECT tenant, asset, name, book FROM books
WHERE tenant IN (SELECT number FROM ledger.tenant) AND shard = $1 AND kind = 15

-- name: holds_of
-- The slices that these holds still reserve.
-- Those of a lease that was renewed stand behind what that entry took back.
SELECT h.number, h.tenant, h.asset, h.authorized_at, h.period, t.pot, t.debit_book,
       t.credit_book,
       coalesce(h.reserved[row_number() OVER (PARTITION BY h.number ORDER BY t.line)], t.amount),
       t.value, t.cost
FROM holds h
LEFT JOIN transfers t ON t.tenant = h.tenant AND t.shard = h.shard AND t.entry_seq = h.entry_seq
                     AND t.phase = 1
WHERE h.tenant IN (SELECT number FROM ledger.tenant) AND h.shard = $1
  AND h.number = ANY($2::bigint[]) AND h.state = 0
ORDER BY h.number, t.line

-- name: insert_plan
-- A plan stands once.
INSERT INTO plans (tenant, shard, plan, product, attributes, quantity_names, rate_card,
                   card_version, price_rows, asset)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT DO NOTHING

-- name: kinds_of
-- What these books are, and the account that each is of.
SELECT b.book, b.kind, coalesce(g.account, b.owner)
FROM books b
LEFT JOIN grants g ON b.kind IN (1, 8, 12) AND g.tenant = b.tenant AND g.shard = b.shard
                  AND g.number = b.owner
WHERE b.tenant IN (SELECT number FROM ledger.tenant) AND b.shard = $1
  AND b.book = ANY($2::bigint[])

-- name: add_lifetimes
-- Lifetime values after each of these batches.
INSERT INTO lifetime_values (tenant, shard, account, asset, recorded_at, value)
SELECT d.tenant, $1, d.account, d.asset, d.recorded_at,
       coalesce(l.value, 0) + sum(d.amount) OVER (
           PARTITION BY d.tenant, d.account, d.asset ORDER BY d.recorded_at)
FROM unnest($2::int[], $3::bigint[], $4::bigint[], $5::bigint[], $6::numeric[])
     AS d (tenant, account, asset, recorded_at, amount)
LEFT JOIN LATERAL (
    SELECT v.value FROM lifetime_values v
    WHERE v.tenant = d.tenant AND v.shard = $1 AND v.account = d.account AND v.asset = d.asset
    ORDER BY v.recorded_at DESC LIMIT 1
) l ON true

-- name: debts_of
-- What these advance books owe, and since when they have.
SELECT b.book, b.debits_posted - b.credits_posted, d.since
FROM books b
LEFT JOIN LATERAL (
    SELECT s.since FROM debts_since s
    WHERE s.tenant = b.tenant AND s.shard = b.shard AND s.account = b.owner AND s.asset = b.asset
    ORDER BY s.recorded_at DESC LIMIT 1
) d ON true
WHERE b.tenant IN (SELECT number FROM ledger.tenant) AND b.shard = $1
  AND b.book = ANY($2::bigint[])

-- name: move_books
-- Add what moved to the counters of books that stand already; where a book has come past the next
-- multiple of $11 transfers, keep its counters as they stand now, after all that was recorded of its
-- tenant until `last`, and as they stood in between.
WITH moved AS (
    UPDATE books b
    SET debits_posted = b.debits_posted + d.debits_posted,
        credits_posted = b.credits_posted + d.credits_posted,
        debits_pending = b.debits_pending + d.debits_pending,
        credits_pending = b.credits_pending + d.credits_pending,
        value = b.value + d.value,
        transfers = b.transfers + d.transfers
    FROM unnest($2::int[], $3::bigint[], $4::numeric[], $5::numeric[], $6::numeric[],
                $7::numeric[], $8::numeric[], $9::bigint[], $10::bigint[])
         AS d (tenant, book, debits_posted, credits_posted, debits_pending, credits_pending,
               value, transfers, last)
    WHERE b.tenant = d.tenant AND b.shard = $1 AND b.book = d.book
    RETURNING b.*, d.transfers AS added, d.last, b.debits_posted - d.debits_posted AS debits_posted_before,
        b.credits_posted - d.credits_posted AS credits_posted_before,
        b.debits_pending - d.debits_pending AS debits_pending_before,
        b.credits_pending - d.credits_pending AS credits_pending_before
), kept AS (
    INSERT INTO book_snapshots (tenant, shard, book, recorded_at, debits_posted, credits_posted,
                                debits_pending, credits_pending)
    SELECT tenant, shard, book, last, debits_posted, credits_posted, debits_pending,
           credits_pending
    FROM moved WHERE transfers / $11::int > (transfers - added) / $11::int
    UNION ALL
    SELECT m.tenant, m.shard, m.book, w.recorded_at, debits_posted_before + w.debits_posted,
           credits_posted_before + w.credits_posted, debits_pending_before + w.debits_pending,
           credits_pending_before + w.credits_pending
    FROM unnest($12::bigint[], $13::bigint[], $14::numeric[], $15::numeric[], $16::numeric[],
                $17::numeric[])
         AS w (book, recorded_at, debits_posted, credits_posted, debits_pending, credits_pending)
    JOIN moved m ON m.book = w.book
)
SELECT count(*) FROM moved

-- name: put_clock
-- How far the clock of a sandbox tenant is ahead by now.
INSERT INTO clocks (shard, tenant, ahead) VALUES ($1, $2, $3)
ON CONFLICT (tenant, shard) DO UPDATE SET ahead = excluded.ahead

-- name: add_usage_hours
-- What usage drew more or less, by account, book and hour.
INSERT INTO usage_hours AS h (tenant, shard, account, book, hour, amount)
SELECT d.tenant, $1, d.account, d.book, d.hour, d.amount
FROM unnest($2::int[], $3::bigint[], $4::bigint[], $5::bigint[], $6::numeric[])
     AS d (tenant, account, book, hour, amount)
ON CONFLICT (tenant, account, hour, shard, book) DO UPDATE SET amount = h.amount + excluded.amount

-- name: add_actors
-- Who asked for these entries.
INSERT INTO entry_actors (tenant, shard, entry_seq, account, actor)
SELECT a.tenant, $1, d.entry_seq, d.account, d.actor
FROM unnest($2::bigint[], $3::bigint[], $4::text[]) AS d (entry_seq, account, actor)
JOIN accounts a ON a.tenant IN (SELECT number FROM ledger.tenant) AND a.shard = $1
               AND a.account = d.account

-- name: change_accounts
-- New policies of accounts that stand already, and where they stand; 0 = open, not frozen.
UPDATE accounts a
SET policy = coalesce(d.policy::jsonb, a.policy),
    version = CASE WHEN d.policy IS NULL THEN a.version ELSE d.version END,
    closed_at = nullif(coalesce(d.closed_at, a.closed_at), 0),
    reopened_at = coalesce(d.reopened_at, a.reopened_at),
    frozen_at = nullif(coalesce(d.frozen_at, a.frozen_at), 0),
    profile_version = coalesce(d.profile_version, a.profile_version),
    parent = coalesce(d.parent, a.parent), placed_seq = coalesce(d.placed_seq, a.placed_seq)
FROM unnest($2::int[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[],
            $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[])
     AS d (tenant, account, policy, version, closed_at, reopened_at, frozen_at, profile_version,
           parent, placed_seq)
WHERE a.tenant = d.tenant AND a.shard = $1 AND a.account = d.account

-- name: insert_move
-- An account went to another parent: where it was until then, since the move before.
INSERT INTO account_moves (tenant, shard, account, version, before, since, parent, moved_at, entry_seq)
VALUES ($2, $1, $3, $4, $5, coalesce(
            (SELECT max(m.entry_seq) FROM account_moves m
             WHERE m.tenant = $2 AND m.shard = $1 AND m.account = $3), 0), $6, $7, $8)

-- name: change_grants
-- What happened to grants that stand already: units that left undrawn, their money, their end.
UPDATE grants g
SET state = greatest(g.state, d.state), backfill = g.backfill + d.backfill,
    voided = g.voided + d.voided, expired = g.expired + d.expired, rolled = g.rolled + d.rolled,
    cancelled = g.cancelled + d.cancelled, given_back = g.given_back + d.given_back,
    returned = g.returned + d.returned,
    settled_at = coalesce(g.settled_at, d.settled_at),
    cash_book = coalesce(d.cash_book, g.cash_book)
FROM unnest($2::int[], $3::bigint[], $4::smallint[], $5::bigint[], $6::bigint[], $7::bigint[],
            $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[])
     AS d (tenant, number, state, backfill, voided, expired, rolled, cancelled, given_back, returned,
           settled_at, cash_book)
WHERE g.tenant = d.tenant AND g.shard = $1 AND g.number = d.number

-- name: set_rollover
-- What is left of a grant that stands is to roll over by other terms than it was issued with.
UPDATE grants SET rollover = $4::jsonb WHERE tenant = $2 AND shard = $1 AND number = $3

-- name: restore_grant
-- A grant like the one that ended, but for what is its own.
INSERT INTO grants
SELECT (jsonb_populate_record(g, jsonb_build_object(
            'number', $3::bigint, 'origin', g.number, 'ordinal', $5::bigint,
            'amount', $6::bigint, 'price_paid', $7::bigint, 'expires_at', $8::bigint,
            'book', $9::bigint, 'deferred_book', $10::bigint, 'issued_at', $11::bigint,
            'state', 0, 'settled_at', NULL, 'backfill', 0, 'voided', 0, 'expired', 0, 'rolled', 0,
            'cancelled', 0, 'given_back', 0, 'returned', 0))).*
FROM grants g WHERE g.tenant = $2 AND g.shard = $1 AND g.number = $4

-- name: reverse_usage
-- What was given back of a usage event; what waits of it for a price is less.
WITH less AS (
    UPDATE waiting w
    SET quantities = (SELECT array_agg(a - b ORDER BY i)
                      FROM unnest(w.quantities, $5::bigint[]) WITH ORDINALITY AS d (a, b, i))
    WHERE w.tenant = $2 AND w.shard = $1 AND w.entry_seq = $3
)
UPDATE usage_events u
SET reversed = u.reversed + $4,
    reversed_quantities = (SELECT array_agg(a + b ORDER BY i)
                           FROM unnest(coalesce(u.reversed_quantities,
                                                array_fill(0::bigint, ARRAY[cardinality($5::bigint[])])),
                                       $5::bigint[]) WITH ORDINALITY AS d (a, b, i))
WHERE u.tenant = $2 AND u.shard = $1 AND u.entry_seq = $3

-- name: rate_waiting
-- A part of what waited of a usage event has been rated, by place.
UPDATE waiting w
SET reasons = (SELECT array_agg(CASE WHEN i = ANY($4::int[]) THEN NULL ELSE r END ORDER BY i)
               FROM unnest(w.reasons) WITH ORDINALITY AS d (r, i))
WHERE w.tenant = $2 AND w.shard = $1 AND w.entry_seq = $3

-- name: end_waiting
-- Nothing of these usage events waits any more.
DELETE FROM waiting w USING unnest($2::int[], $3::bigint[]) AS d (tenant, entry_seq)
WHERE w.tenant = d.tenant AND w.shard = $1 AND w.entry_seq = d.entry_seq

-- name: reverse_cost
-- What the provider takes less for a usage event.
UPDATE usage_costs SET given_back = given_back + $4
WHERE tenant = $2 AND shard = $1 AND entry_seq = $3

-- name: change_holds
-- What became of holds that stand already and are open.
UPDATE holds h
SET state = d.state, settled_at = d.settled_at, settled_by = d.settled_by,
    expires_at = coalesce(d.expires_at, h.expires_at),
    reserved = coalesce(d.reserved::bigint[], h.reserved),
    captured = h.captured + d.captured, captures = h.captures + d.captures,
    amount = h.amount + d.amount, entry_seq = coalesce(d.entry_seq, h.entry_seq),
    authorized_at = coalesce(d.authorized_at, h.authorized_at),
    period = coalesce(d.period, h.period)
FROM unnest($2::int[], $3::bigint[], $4::smallint[], $5::bigint[], $6::bigint[], $7::bigint[],
            $8::text[], $9::bigint[], $10::int[], $11::bigint[], $12::bigint[], $13::bigint[],
            $14::bigint[])
     AS d (tenant, number, state, settled_at, settled_by, expires_at, reserved, captured, captures,
           amount, entry_seq, authorized_at, period)
WHERE h.tenant = d.tenant AND h.shard = $1 AND h.number = d.number AND h.state = 0

-- name: recurring_of
-- These recurring grants as they are.
SELECT tenant, shard, number, account, paused, version, terms::text, next_terms::text, starts_at,
       ends_at, next_at, period_start, period_end, created_at
FROM recurring_grants
WHERE tenant IN (SELECT number FROM ledger.tenant) AND shard = $1 AND number = ANY($2::bigint[])

-- name: change_recurring
-- What became of recurring grants that stand already.
UPDATE recurring_grants r
SET paused = d.paused, version = d.version, terms = d.terms::jsonb,
    next_terms = d.next_terms::jsonb, ends_at = d.ends_at, next_at = d.next_at,
    period_start = d.period_start, period_end = d.period_end
FROM unnest($2::int[], $3::bigint[], $4::boolean[], $5::bigint[], $6::text[], $7::text[],
            $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[])
     AS d (tenant, number, paused, version, terms, next_terms, ends_at, next_at, period_start,
           period_end)
WHERE r.tenant = d.tenant AND r.shard = $1 AND r.number = d.number

-- name: end_top_ups
-- What became of charges that were asked for.
UPDATE top_ups t
SET state = d.state, settled_at = d.settled_at, grant_number = d.grant_number
FROM unnest($2::int[], $3::bigint[], $4::smallint[], $5::bigint[], $6::bigint[])
     AS d (tenant, number, state, settled_at, grant_number)
WHERE t.tenant = d.tenant AND t.shard = $1 AND t.number = d.number

-- name: share_grants
UPDATE grants AS g SET shared = n.shared
FROM unnest($2::int[], $3::bigint[], $4::bool[]) AS n (tenant, number, shared)
WHERE g.tenant = n.tenant AND g.shard = $1 AND g.number = n.number

-- name: move_budget_windows
-- What budgets count more, or less, in windows; the first that counts in one opens it.
INSERT INTO budget_windows AS w (tenant, shard, number, since, until, posted, pending)
SELECT d.tenant, $1, d.number, d.since, d.until, d.posted, d.pending
FROM unnest($2::int[], $3::bigint[], $4::bigint[], $5::bigint[], $6::numeric[], $7::numeric[])
     AS d (tenant, number, since, until, posted, pending)
ON CONFLICT (tenant, shard, number, since, until) DO UPDATE
SET posted = w.posted + excluded.posted, pending = w.pending + excluded.pending

-- name: close_budget_values
-- Counters of values that are kept no more; a number of 0: all of the budget.
UPDATE budget_values AS v SET closed_at = d.closed_at
FROM unnest($2::int[], $3::bigint[], $4::bigint[], $5::bigint[])
     AS d (tenant, budget, number, closed_at)
WHERE v.tenant = d.tenant AND v.shard = $1 AND v.budget = d.budget AND v.closed_at IS NULL
  AND d.number IN (0, v.number)

-- name: name_crossed_values
-- Of which value of which budget a threshold was reached that was crossed from an entry on.
UPDATE budget_crossings AS c SET budget = v.budget, value = v.value
FROM budget_values AS v
WHERE c.shard = $1 AND c.entry_seq >= $2
  AND v.tenant = c.tenant AND v.shard = c.shard AND v.number = c.number

-- name: close_statement
-- A statement that had ended is closed.
DELETE FROM statements_to_close
WHERE shard = $1 AND tenant = $2 AND account = $3 AND statement = $4
