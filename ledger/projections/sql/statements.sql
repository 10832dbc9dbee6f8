-- name: first_since
-- The first entry of the first batch that was recorded at $3 or later by the clock of the tenant, or
-- one before it: a shard's batches stand in the order of time, so that few of them are looked at.
WITH RECURSIVE since AS (
    SELECT $3::bigint - coalesce((SELECT ahead FROM projection.clocks
                                  WHERE tenant = $1 AND shard = $2), 0) AS at
), search (low, high) AS (
    SELECT 1::bigint, (SELECT coalesce(max(batch_seq), 0) + 1 FROM ledger.journal WHERE shard = $2)
    UNION ALL
    SELECT CASE WHEN j.recorded_at >= n.at THEN s.low ELSE m.middle + 1 END,
           CASE WHEN j.recorded_at >= n.at THEN m.middle ELSE s.high END
    FROM search s
    CROSS JOIN since n
    CROSS JOIN LATERAL (SELECT (s.low + s.high) / 2 AS middle) m
    JOIN ledger.journal j ON j.shard = $2 AND j.batch_seq = m.middle
    WHERE s.low < s.high
)
SELECT coalesce((SELECT j.first_event FROM search s
                 JOIN ledger.journal j ON j.shard = $2 AND j.batch_seq = s.low
                 WHERE s.low = s.high), 9223372036854775807)

-- name: session
-- Sums over few accounts of many: what is joined is looked up, whatever the planner has counted yet.
SET LOCAL jit = off

-- name: used
-- How much was used of what, by usage and its reversals: of account $3, and of those below it as it
-- was recorded ($4), from entry $5 on and before $6; by attribute $7. What is of [$8, $9) has no
-- number; what came late, from entry $10 on, has that of its closed statement (numbers $11, of periods
-- from $12 to $13; 0 = of none). A row a quantity; the first one counts the entries. `OFFSET 0`: each
-- is looked up by index.
WITH RECURSIVE wanted (account, since, until) AS (
    SELECT $3::bigint, 0::bigint, 9223372036854775807
    UNION
    SELECT p.account, greatest(w.since, p.since), least(w.until, p.until)
    FROM wanted w JOIN projection.account_places p ON p.parent = w.account
    WHERE p.tenant = $1 AND p.shard = $2 AND $4::boolean AND p.since < w.until AND w.since < p.until
), entries AS MATERIALIZED (
    SELECT u.account, u.plan, u.quantities, 1 AS events, 0 AS reversals, 1 AS sign, u.entry_seq,
           u.counts_at
    FROM wanted w CROSS JOIN LATERAL (
        SELECT u.*, least(u.effective_at, u.recorded_at) AS counts_at
        FROM projection.usage_events u
        WHERE u.tenant = $1 AND u.shard = $2 AND u.account = w.account AND u.outcome IN (1, 2)
          AND u.entry_seq >= greatest(w.since, $5) AND u.entry_seq < least(w.until, $6)
        OFFSET 0) u
    UNION ALL
    SELECT r.account, r.plan, r.quantities, 0, 1, -1, r.entry_seq, r.counts_at
    FROM wanted w CROSS JOIN LATERAL (
        SELECT r.*, least(r.effective_at, r.recorded_at) AS counts_at
        FROM projection.reversals r
        WHERE r.tenant = $1 AND r.shard = $2 AND r.account = w.account AND r.recorded_at >= $8
          AND r.original_entry >= w.since AND r.original_entry < w.until
          AND r.entry_seq >= $5 AND r.entry_seq < $6
        OFFSET 0) r
), summed AS MATERIALIZED (
    SELECT e.account, e.plan, q.place,
           CASE WHEN e.counts_at < $8 THEN coalesce(
               (SELECT b.number FROM unnest($11::bigint[], $12::bigint[], $13::bigint[])
                    AS b (number, since, until)
                WHERE b.since <= e.counts_at AND e.counts_at < b.until), 0) END AS adjusts,
           sum(e.events) AS events, sum(e.reversals) AS reversals,
           sum(e.sign * q.quantity) AS quantity
    FROM entries e CROSS JOIN LATERAL unnest(e.quantities) WITH ORDINALITY AS q (quantity, place)
    WHERE e.counts_at < $9 AND (e.counts_at >= $8 OR e.entry_seq >= $10)
    GROUP BY 1, 2, 3, 4
)
SELECT s.account, p.product, p.attributes ->> $7::text, s.adjusts,
       CASE s.place WHEN 1 THEN s.events ELSE 0 END, CASE s.place WHEN 1 THEN s.reversals ELSE 0 END,
       p.quantity_names[s.place], s.quantity
FROM summed s CROSS JOIN LATERAL (
    SELECT p.* FROM projection.plans p WHERE p.tenant = $1 AND p.shard = $2 AND p.plan = s.plan
    OFFSET 0) p

-- name: paid
-- What books paid for what, less what was given back to them: of usage, of what follows it, and of
-- what is charged without it. Parameters as in `used`. Kinds of line: 1 usage, 2 minimum, 3 by hand,
-- 4 fee; kinds of book: 6 used, 19 conversion.
WITH RECURSIVE wanted (account, since, until) AS (
    SELECT $3::bigint, 0::bigint, 9223372036854775807
    UNION
    SELECT p.account, greatest(w.since, p.since), least(w.until, p.until)
    FROM wanted w JOIN projection.account_places p ON p.parent = w.account
    WHERE p.tenant = $1 AND p.shard = $2 AND $4::boolean AND p.since < w.until AND w.since < p.until
), entries AS MATERIALIZED (
    SELECT u.entry_seq, u.account, 1 AS kind, u.plan, NULL::text AS product
    FROM wanted w CROSS JOIN LATERAL (
        SELECT u.* FROM projection.usage_events u
        WHERE u.tenant = $1 AND u.shard = $2 AND u.account = w.account AND u.outcome <> 3
          AND u.entry_seq >= greatest(w.since, $5) AND u.entry_seq < least(w.until, $6)
        OFFSET 0) u
    UNION ALL
    SELECT r.entry_seq, r.account, 1, r.plan, NULL
    FROM wanted w CROSS JOIN LATERAL (
        SELECT r.* FROM projection.reversals r
        WHERE r.tenant = $1 AND r.shard = $2 AND r.account = w.account AND r.recorded_at >= $8
          AND r.original_entry >= w.since AND r.original_entry < w.until
          AND r.entry_seq >= $5 AND r.entry_seq < $6
        OFFSET 0) r
    UNION ALL  -- what earlier usage costs anew, and what was paid in another asset
    SELECT f.entry_seq, u.account, 1, u.plan, NULL
    FROM projection.usage_follow_ups f
    CROSS JOIN LATERAL (
        SELECT u.* FROM projection.usage_events u
        WHERE u.tenant = $1 AND u.shard = $2 AND u.entry_seq = f.original_entry
        OFFSET 0) u
    JOIN wanted w
        ON w.account = u.account AND u.entry_seq >= w.since AND u.entry_seq < w.until
    WHERE f.tenant = $1 AND f.shard = $2 AND f.entry_seq >= $5 AND f.entry_seq < $6
      AND NOT EXISTS (SELECT FROM projection.usage_events x
                      WHERE x.tenant = $1 AND x.shard = $2 AND x.entry_seq = f.entry_seq)
    UNION ALL  -- and where others made it cost that
    SELECT r.entry_seq, r.account, 1, r.plan, NULL
    FROM wanted w JOIN projection.shared_rerates r
        ON r.tenant = $1 AND r.shard = $2 AND r.account = w.account
       AND r.entry_seq >= greatest(w.since, $5) AND r.entry_seq < least(w.until, $6)
    WHERE r.recorded_at >= $8
    UNION ALL
    SELECT n.entry_seq, n.account, 2, NULL, coalesce(nullif(n.product, ''), 'minimum')
    FROM wanted w JOIN projection.minimums n
        ON n.tenant = $1 AND n.shard = $2 AND n.account = w.account
       AND n.entry_seq >= greatest(w.since, $5) AND n.entry_seq < least(w.until, $6)
    WHERE n.recorded_at >= $8
    UNION ALL
    SELECT f.entry_seq, f.account, 4, NULL, f.product
    FROM wanted w JOIN projection.fee_lines f
        ON f.tenant = $1 AND f.shard = $2 AND f.account = w.account
       AND f.entry_seq >= greatest(w.since, $5) AND f.entry_seq < least(w.until, $6)
    WHERE f.recorded_at >= $8
    UNION ALL
    SELECT m.entry_seq, m.account, 3, NULL, 'adjustment'
    FROM wanted w JOIN projection.manual_adjustments m
        ON m.tenant = $1 AND m.shard = $2 AND m.account = w.account
       AND m.entry_seq >= greatest(w.since, $5) AND m.entry_seq < least(w.until, $6)
    WHERE m.recorded_at >= $8
), moved AS MATERIALIZED (
    SELECT e.account, e.kind, e.plan, e.product,
           CASE WHEN t.counts_at < $8 THEN coalesce(
               (SELECT b.number FROM unnest($11::bigint[], $12::bigint[], $13::bigint[])
                    AS b (number, since, until)
                WHERE b.since <= t.counts_at AND t.counts_at < b.until), 0) END AS adjusts,
           t.debit_book, t.credit_book, sum(t.amount) AS amount
    FROM entries e
    CROSS JOIN LATERAL (
        SELECT t.debit_book, t.credit_book, t.amount,
               least(t.effective_at, t.recorded_at) AS counts_at
        FROM projection.transfers t
        WHERE t.tenant = $1 AND t.shard = $2 AND t.entry_seq = e.entry_seq AND t.phase = 2
        OFFSET 0) t
    WHERE t.counts_at < $9 AND (t.counts_at >= $8 OR e.entry_seq >= $10)
    GROUP BY 1, 2, 3, 4, 5, 6, 7
), books AS MATERIALIZED (
    SELECT m.book, b.kind, b.asset, b.owner
    FROM (SELECT debit_book AS book FROM moved UNION SELECT credit_book FROM moved) m
    CROSS JOIN LATERAL (
        SELECT b.* FROM projection.books b
        WHERE b.tenant = $1 AND b.shard = $2 AND b.book = m.book
        OFFSET 0) b
), paid AS MATERIALIZED (
    SELECT m.account, m.kind, m.plan, m.product, m.adjusts,
           CASE WHEN c.kind IN (6, 19) THEN m.debit_book ELSE m.credit_book END AS payer,
           sum(CASE WHEN c.kind IN (6, 19) THEN m.amount ELSE -m.amount END) AS amount
    FROM moved m
    JOIN books d ON d.book = m.debit_book
    JOIN books c ON c.book = m.credit_book
    WHERE c.kind IN (6, 19) OR d.kind IN (6, 19)
    GROUP BY 1, 2, 3, 4, 5, 6
)
SELECT m.account, m.kind, coalesce(m.product, p.product), p.attributes ->> $7::text, m.adjusts,
       b.book, b.kind, b.asset,
       CASE b.kind WHEN 1 THEN g.account WHEN 2 THEN b.owner WHEN 3 THEN b.owner ELSE 0 END,
       coalesce(g.number, 0), m.amount
FROM paid m
JOIN books b ON b.book = m.payer
LEFT JOIN LATERAL (
    SELECT p.* FROM projection.plans p WHERE p.tenant = $1 AND p.shard = $2 AND p.plan = m.plan
    OFFSET 0) p ON true
LEFT JOIN LATERAL (
    SELECT g.account, g.number FROM projection.grants g
    WHERE b.kind = 1 AND g.tenant = $1 AND g.shard = $2 AND g.number = b.owner
    OFFSET 0) g ON true

-- name: books
-- The books of account $3, and of those that stood below it ($4) before entry $5: what each is, and
-- its counters as they are.
WITH RECURSIVE wanted (account, since, until) AS (
    SELECT $3::bigint, 0::bigint, 9223372036854775807
    UNION
    SELECT p.account, greatest(w.since, p.since), least(w.until, p.until)
    FROM wanted w JOIN projection.account_places p ON p.parent = w.account
    WHERE p.tenant = $1 AND p.shard = $2 AND $4::boolean AND p.since < w.until AND w.since < p.until
), standing AS MATERIALIZED (
    SELECT account FROM wanted WHERE since < $5 AND $5 <= until
), owned AS MATERIALIZED (
    SELECT o.book, g.account, g.number
    FROM standing s
    CROSS JOIN LATERAL (
        SELECT g.* FROM projection.grants g
        WHERE g.tenant = $1 AND g.shard = $2 AND g.account = s.account
        OFFSET 0) g
    CROSS JOIN LATERAL (VALUES (g.book), (g.funding_book), (g.deferred_book)) AS o (book)
    WHERE o.book IS NOT NULL
    UNION ALL
    SELECT b.book, s.account, 0
    FROM standing s
    CROSS JOIN LATERAL (
        SELECT b.book FROM projection.books b
        WHERE b.tenant = $1 AND b.shard = $2 AND b.owner = s.account AND b.kind IN (2, 3)
        OFFSET 0) b
    UNION ALL
    SELECT b.book, s.account, 0
    FROM standing s
    CROSS JOIN LATERAL (
        SELECT b.book FROM projection.books b
        WHERE b.tenant = $1 AND b.shard = $2 AND b.owner = s.account AND b.kind IN (13, 14)
        OFFSET 0) b
)
SELECT b.book, b.kind, b.asset, o.account, o.number, b.debits_posted, b.credits_posted,
       b.debits_pending
FROM owned o CROSS JOIN LATERAL (
    SELECT b.* FROM projection.books b WHERE b.tenant = $1 AND b.shard = $2 AND b.book = o.book
    OFFSET 0) b
WHERE o.number = 0 OR (b.kind IN (1, 8, 12) AND b.owner = o.number)

-- name: moves
-- What moved on books since an instant, $4, by the kind of book that it moved from or to and by where
-- it is (`ledger.statements.places`): 2 = it is of [$4, $5), 3 = it came late, from entry $6 on; 4 = it
-- is of later or recorded from entry $7 on; 1 = it was before. What was recorded before the instant is
-- not looked at: it is in what the books were then.
WITH sides AS (
    SELECT w.book, t.credit_book AS other, t.entry_seq, t.phase, t.amount AS debit,
           0::bigint AS credit, t.counts_at
    FROM unnest($3::bigint[]) AS w (book)
    CROSS JOIN generate_series(0, 9) AS l (class)
    CROSS JOIN LATERAL (
        SELECT t.*, least(t.effective_at, t.recorded_at) AS counts_at
        FROM projection.transfers t
        WHERE t.shard = $2 AND t.debit_book = w.book
          AND ledger.lateness(t.effective_at, t.recorded_at) = l.class AND t.recorded_at >= $4
        OFFSET 0) t
    UNION ALL
    SELECT w.book, t.debit_book, t.entry_seq, t.phase, 0, t.amount, t.counts_at
    FROM unnest($3::bigint[]) AS w (book)
    CROSS JOIN generate_series(0, 9) AS l (class)
    CROSS JOIN LATERAL (
        SELECT t.*, least(t.effective_at, t.recorded_at) AS counts_at
        FROM projection.transfers t
        WHERE t.shard = $2 AND t.credit_book = w.book AND t.pot = 0
          AND ledger.lateness(t.effective_at, t.recorded_at) = l.class AND t.recorded_at >= $4
        OFFSET 0) t
), summed AS MATERIALIZED (
    SELECT s.book, s.other,
           CASE WHEN s.entry_seq >= $7 OR s.counts_at >= $5 THEN 4
                WHEN s.counts_at >= $4 THEN 2
                WHEN s.entry_seq >= $6 THEN 3
                ELSE 1 END AS place,
           coalesce(sum(s.debit) FILTER (WHERE s.phase = 2), 0) AS debits,
           coalesce(sum(s.credit) FILTER (WHERE s.phase = 2), 0) AS credits,
           coalesce(sum(CASE s.phase WHEN 1 THEN s.debit WHEN 3 THEN -s.debit END), 0) AS held
    FROM sides s GROUP BY 1, 2, 3
)
SELECT s.book, b.kind, s.place, sum(s.debits), sum(s.credits), sum(s.held)
FROM summed s CROSS JOIN LATERAL (
    SELECT b.kind FROM projection.books b
    WHERE b.tenant = $1 AND b.shard = $2 AND b.book = s.other
    OFFSET 0) b
GROUP BY 1, 2, 3

-- name: is_root
-- Whether nothing is above an account: what it and those below it use, only they pay.
SELECT EXISTS (SELECT FROM projection.accounts
               WHERE tenant = $1 AND shard = $2 AND account = $3 AND parent IS NULL)

-- name: of_account
-- The statements of an account that have ended, by number.
SELECT statement, form, attribute, period_start, period_end, ended_by, ended_at, closed_by, closed_at,
       first_entry, last_entry, batch_seq, head, hash
FROM projection.statements WHERE tenant = $1 AND shard = $2 AND account = $3 ORDER BY statement

-- name: to_close
-- Statements of shards that have ended and are not closed, oldest first, with the batch that ended
-- each and the chain's hash there.
SELECT s.tenant, s.shard, s.account, s.statement, s.ended_by, j.batch_seq, j.hash
FROM (
    SELECT tenant, shard, account, statement, ended_by FROM projection.statements_to_close
    WHERE shard = ANY($1::int[]) AND ($3::bigint = 0 OR (account, statement) = ($3::bigint, $4::bigint))
    ORDER BY ended_by LIMIT $2
) s
CROSS JOIN LATERAL (
    WITH RECURSIVE search (low, high) AS (
        SELECT 1::bigint, (SELECT max(batch_seq) FROM ledger.journal WHERE shard = s.shard)
        UNION ALL
        SELECT CASE WHEN j.first_event + j.event_count > s.ended_by THEN h.low ELSE m.middle + 1 END,
               CASE WHEN j.first_event + j.event_count > s.ended_by THEN m.middle ELSE h.high END
        FROM search h
        CROSS JOIN LATERAL (SELECT (h.low + h.high) / 2 AS middle) m
        JOIN ledger.journal j ON j.shard = s.shard AND j.batch_seq = m.middle
        WHERE h.low < h.high
    )
    SELECT j.batch_seq, j.hash FROM search h
    JOIN ledger.journal j ON j.shard = s.shard AND j.batch_seq = h.low
    WHERE h.low = h.high
) j
ORDER BY s.ended_by
