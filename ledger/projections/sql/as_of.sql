-- name: session
-- Every table is looked at by index: what is asked for is few rows of many.
SET LOCAL enable_seqscan = off;
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_mergejoin = off;
SET LOCAL jit = off

-- name: standing
-- Where a shard's read models stand: all that was recorded until then, by the clock of the tenant, is
-- in them.
SELECT s.entries, s.recorded_at + coalesce(c.ahead, 0)
FROM projection.checkpoint s
LEFT JOIN projection.clocks c ON c.tenant = $1 AND c.shard = s.shard
WHERE s.shard = $2

-- name: policy
-- The policy that was in force at an instant.
SELECT policy::text FROM projection.account_policies
WHERE tenant = $1 AND shard = $2 AND account = $3 AND recorded_at <= $4
ORDER BY version DESC LIMIT 1

-- name: rests_on
-- What a limit in asset $4 rested on at an instant: lifetime value, and since when was owed.
SELECT (SELECT v.value FROM projection.lifetime_values v
        WHERE v.tenant = $1 AND v.shard = $2 AND v.account = $3 AND v.asset = $4
          AND v.recorded_at <= $5 ORDER BY v.recorded_at DESC LIMIT 1),
       (SELECT d.since FROM projection.debts_since d
        WHERE d.tenant = $1 AND d.shard = $2 AND d.account = $3 AND d.asset = $4
          AND d.recorded_at <= $5 ORDER BY d.recorded_at DESC LIMIT 1)

-- name: grants
-- The grants that an account may draw, as far as they were recorded by an instant: its own in the
-- order of issue, then what its ancestors share, those that were above it at $6; one of its own
-- alone where $4 is not 0.
WITH RECURSIVE holders (account, above) AS (
    SELECT $2::bigint, 0
    UNION ALL
    SELECT coalesce((SELECT m.before FROM projection.account_moves m
                     WHERE m.tenant = $1 AND m.shard = $5 AND m.account = h.account
                       AND m.moved_at > $6 ORDER BY m.version LIMIT 1), a.parent), h.above + 1
    FROM holders h
    JOIN projection.accounts a ON a.tenant = $1 AND a.shard = $5 AND a.account = h.account
    WHERE a.parent IS NOT NULL AND $4::bigint = 0
)
SELECT g.number, g.account, g.asset, g.amount, g.effective_at, g.expires_at, g.products, g.tags,
       g.attributes::text, g.book, g.state, g.issued_at, g.settled_at
FROM holders h
JOIN projection.grants g ON g.tenant = $1 AND g.account = h.account AND (h.above = 0 OR g.shared)
WHERE g.issued_at <= $3 AND ($4::bigint = 0 OR g.number = $4::bigint)
ORDER BY h.above, g.number

-- name: debts
-- An account's advance and overage books.
SELECT book, kind, asset FROM projection.books
WHERE tenant = $1 AND shard = $2 AND owner = $3 AND kind IN (2, 3)
ORDER BY book

-- name: counters
-- The counters of books as of $4, as known at $5: the last snapshot that was taken by both, and what
-- was recorded after it. Of each class of lateness that is a range of an index: later than $4 + its
-- bound it holds nothing that was effective by $4. A book with few transfers is read whole.
WITH asked AS (
    SELECT b.book, b.transfers <= $6::int AS few, coalesce(s.recorded_at, -1) AS since,
           coalesce(s.debits_posted, 0) AS debits_posted,
           coalesce(s.credits_posted, 0) AS credits_posted,
           coalesce(s.debits_pending, 0) AS debits_pending,
           coalesce(s.credits_pending, 0) AS credits_pending
    FROM unnest($3::bigint[]) AS w (book)
    JOIN projection.books b ON b.tenant = $1 AND b.shard = $2 AND b.book = w.book
    LEFT JOIN LATERAL (
        SELECT * FROM projection.book_snapshots s
        WHERE s.tenant = $1 AND s.shard = $2 AND s.book = b.book
          AND s.recorded_at <= least($4::bigint, $5::bigint)
        ORDER BY s.recorded_at DESC LIMIT 1
    ) s ON b.transfers > $6::int
), late (class, bound) AS (
    VALUES (0, 1000000), (1, 8000000), (2, 64000000), (3, 512000000), (4, 4096000000),
           (5, 32768000000), (6, 262144000000), (7, 2097152000000), (8, 16777216000000),
           (9, 4611686018427387904)
)
SELECT a.book,
       a.debits_posted + coalesce(d.posted, 0), a.credits_posted + coalesce(c.posted, 0),
       a.debits_pending + coalesce(d.pending, 0), a.credits_pending + coalesce(c.pending, 0)
FROM asked a
CROSS JOIN LATERAL (
    SELECT sum(posted) AS posted, sum(pending) AS pending
    FROM (SELECT sum(amount) FILTER (WHERE phase = 2) AS posted,
                 sum(CASE phase WHEN 1 THEN amount WHEN 3 THEN -amount END) AS pending
          FROM projection.transfers t
          WHERE a.few AND t.shard = $2 AND t.debit_book = a.book
            AND t.recorded_at <= $5 AND least(t.effective_at, t.recorded_at) <= $4
          UNION ALL
          SELECT s.posted, s.pending FROM late l CROSS JOIN LATERAL (
              SELECT sum(amount) FILTER (WHERE phase = 2) AS posted,
                     sum(CASE phase WHEN 1 THEN amount WHEN 3 THEN -amount END) AS pending
              FROM projection.transfers t
              WHERE t.shard = $2 AND t.debit_book = a.book
                AND ledger.lateness(t.effective_at, t.recorded_at) = l.class
                AND t.recorded_at > a.since AND t.recorded_at <= least($5, $4 + l.bound)
                AND least(t.effective_at, t.recorded_at) <= $4) s
          WHERE NOT a.few) t
) d
CROSS JOIN LATERAL (
    SELECT sum(posted) AS posted, sum(pending) AS pending
    FROM (SELECT sum(amount) FILTER (WHERE phase = 2) AS posted,
                 sum(CASE phase WHEN 1 THEN amount WHEN 3 THEN -amount END) AS pending
          FROM projection.transfers t
          WHERE a.few AND t.shard = $2 AND t.credit_book = a.book AND t.pot = 0
            AND t.recorded_at <= $5 AND least(t.effective_at, t.recorded_at) <= $4
          UNION ALL
          SELECT s.posted, s.pending FROM late l CROSS JOIN LATERAL (
              SELECT sum(amount) FILTER (WHERE phase = 2) AS posted,
                     sum(CASE phase WHEN 1 THEN amount WHEN 3 THEN -amount END) AS pending
              FROM projection.transfers t
              WHERE t.shard = $2 AND t.credit_book = a.book AND t.pot = 0
                AND ledger.lateness(t.effective_at, t.recorded_at) = l.class
                AND t.recorded_at > a.since AND t.recorded_at <= least($5, $4 + l.bound)
                AND least(t.effective_at, t.recorded_at) <= $4) s
          WHERE NOT a.few) t
) c

-- name: no_draws
-- What left grants' books other than by draws, as of $4, as known at $5. What repaid an advance
-- (kind 2) was drawn.
SELECT w.book, sum(t.amount)
FROM unnest($3::bigint[]) AS w (book)
JOIN projection.transfers t
    ON t.shard = $2 AND t.debit_book = w.book AND t.pot = 0 AND t.phase = 2
   AND t.recorded_at <= $5 AND least(t.effective_at, t.recorded_at) <= $4
JOIN projection.books o ON o.tenant = $1 AND o.shard = $2 AND o.book = t.credit_book AND o.kind <> 2
GROUP BY w.book

-- name: changes
-- Sides of transfers on books that one balance counts and the other does not: as of $4 as known at
-- $5 before, as of $6 as known at $7 after; in recorded order after (entry $8, line $9, side $10),
-- which was recorded at $11; one page.
WITH late (class, bound) AS (
    VALUES (0, 1000000), (1, 8000000), (2, 64000000), (3, 512000000), (4, 4096000000),
           (5, 32768000000), (6, 262144000000), (7, 2097152000000), (8, 16777216000000),
           (9, 4611686018427387904)
), page AS (
    SELECT t.*
    FROM unnest($3::bigint[]) AS w (book)
    CROSS JOIN late l
    CROSS JOIN LATERAL (
        (SELECT 0 AS side, t.debit_book AS book, t.entry_seq, t.line, t.debit_book, t.credit_book,
                t.asset, t.amount, t.phase, t.effective_at, t.recorded_at
         FROM projection.transfers t
         WHERE t.shard = $2 AND t.debit_book = w.book
           AND ledger.lateness(t.effective_at, t.recorded_at) = l.class
           AND t.recorded_at >= $11::bigint
           AND t.recorded_at <= greatest(least($5, $4 + l.bound), least($7, $6 + l.bound))
           AND (t.recorded_at <= $5 AND least(t.effective_at, t.recorded_at) <= $4)
            <> (t.recorded_at <= $7 AND least(t.effective_at, t.recorded_at) <= $6)
           AND (t.entry_seq, t.line, 0) > ($8::bigint, $9::int, $10::int)
         ORDER BY t.recorded_at, t.entry_seq, t.line LIMIT $12)
        UNION ALL
        (SELECT 1, t.credit_book, t.entry_seq, t.line, t.debit_book, t.credit_book,
                t.asset, t.amount, t.phase, t.effective_at, t.recorded_at
         FROM projection.transfers t
         WHERE t.shard = $2 AND t.credit_book = w.book AND t.pot = 0
           AND ledger.lateness(t.effective_at, t.recorded_at) = l.class
           AND t.recorded_at >= $11::bigint
           AND t.recorded_at <= greatest(least($5, $4 + l.bound), least($7, $6 + l.bound))
           AND (t.recorded_at <= $5 AND least(t.effective_at, t.recorded_at) <= $4)
            <> (t.recorded_at <= $7 AND least(t.effective_at, t.recorded_at) <= $6)
           AND (t.entry_seq, t.line, 1) > ($8::bigint, $9::int, $10::int)
         ORDER BY t.recorded_at, t.entry_seq, t.line LIMIT $12)
    ) t
    ORDER BY t.entry_seq, t.line, t.side LIMIT $12
)
SELECT p.side, p.book, p.entry_seq, p.line, p.debit_book, p.credit_book, p.asset, p.amount, p.phase,
       p.effective_at, p.recorded_at,
       p.recorded_at <= $7 AND least(p.effective_at, p.recorded_at) <= $6 AS added,
       u.source, u.event_id
FROM page p
LEFT JOIN projection.usage_events u
    ON u.tenant = $1 AND u.shard = $2 AND u.entry_seq = p.entry_seq
ORDER BY p.entry_seq, p.line, p.side

-- name: recorded_at
-- When the transfer was recorded that a page ended with.
SELECT recorded_at FROM projection.transfers
WHERE tenant = $1 AND shard = $2 AND entry_seq = $3 AND line = $4

-- name: books
-- What books are: their kind, owner and name; of a grant's (kinds $4) its account.
SELECT b.book, b.kind, b.owner, b.name, coalesce(g.account, 0)
FROM projection.books b
LEFT JOIN projection.grants g
    ON b.kind = ANY($4::smallint[]) AND g.tenant = b.tenant AND g.shard = b.shard AND g.number = b.owner
WHERE b.tenant = $1 AND b.shard = $2 AND b.book = ANY($3::bigint[])

-- name: usage_of_family
-- The newest entries of usage in a family by the names that it was sent with: by place in the lists.
SELECT (SELECT u.entry_seq FROM projection.usage_events u
        JOIN projection.accounts a ON a.tenant = $1 AND a.shard = $2 AND a.account = u.account
        WHERE u.tenant = $1 AND u.event_id = w.event_id AND u.shard = $2 AND a.root = $3
          AND coalesce(u.source, '') = w.source
        ORDER BY u.entry_seq DESC LIMIT 1)
FROM unnest($4::text[], $5::text[]) WITH ORDINALITY AS w (source, event_id, place)
ORDER BY w.place

-- name: hold_entry
-- The entry that made a hold.
SELECT entry_seq FROM projection.holds WHERE tenant = $1 AND shard = $2 AND number = $3

-- name: adjustments
-- What counts in a period of accounts, [$4, $5) of each, and is no usage of its own time: usage and
-- reversals of a period that was closed (kinds 1, 2), reversals of this one, units adjusted by hand (3);
-- after entry $6, which was recorded at $7, one page. What was charged is above 0, what was given back
-- below. A reversal of this period was recorded in it or by the end of its grace, at most $8 later; or
-- just before it, where its usage was of up to $10 later than its recording.
SELECT x.*, e.actor
FROM unnest($3::bigint[], $4::bigint[], $5::bigint[]) AS w (account, starts_at, ends_at)
CROSS JOIN LATERAL (
    (SELECT CASE WHEN r.entry_seq IS NULL THEN 1 ELSE 2 END AS kind, n.entry_seq, n.account, n.closed,
            n.recorded_at, coalesce(u.effective_at, r.effective_at) AS effective_at,
            coalesce(u.asset, r.asset) AS asset, coalesce(u.charge, -r.amount) AS charged,
            coalesce(u.source, o.source), coalesce(u.event_id, o.event_id),
            coalesce(r.original_entry, g.original_entry), NULL::bigint AS grant_number
     FROM projection.adjustments n
     LEFT JOIN projection.usage_events u
         ON u.tenant = $1 AND u.shard = $2 AND u.entry_seq = n.entry_seq
     LEFT JOIN projection.reversals r
         ON r.tenant = $1 AND r.shard = $2 AND r.entry_seq = n.entry_seq
     LEFT JOIN projection.ratings g
         ON g.tenant = $1 AND g.shard = $2 AND g.entry_seq = n.entry_seq
     LEFT JOIN projection.usage_events o
         ON o.tenant = $1 AND o.shard = $2 AND o.entry_seq = g.original_entry
     WHERE n.tenant = $1 AND n.shard = $2 AND n.account = w.account AND n.period = w.starts_at
       AND n.entry_seq > $6
     ORDER BY n.entry_seq LIMIT $9)
    UNION ALL
    (SELECT 2, r.entry_seq, r.account, NULL, r.recorded_at, r.effective_at, r.asset, -r.amount,
            NULL, NULL, r.original_entry, NULL
     FROM projection.reversals r
     WHERE r.tenant = $1 AND r.shard = $2 AND r.account = w.account
       AND r.effective_at >= w.starts_at AND r.effective_at < w.ends_at
       AND (r.recorded_at, r.entry_seq) > (greatest(w.starts_at - $10, $7), $6) AND r.recorded_at < w.ends_at + $8
       AND NOT EXISTS (SELECT FROM projection.adjustments n
                       WHERE n.tenant = $1 AND n.shard = $2 AND n.entry_seq = r.entry_seq)
     ORDER BY r.recorded_at, r.entry_seq LIMIT $9)
    UNION ALL
    (SELECT 3, m.entry_seq, m.account, NULL, m.recorded_at, m.recorded_at, m.asset, -m.amount,
            NULL, NULL, NULL, m.number
     FROM projection.manual_adjustments m
     WHERE m.tenant = $1 AND m.shard = $2 AND m.account = w.account
       AND m.recorded_at >= w.starts_at AND m.recorded_at < w.ends_at
       AND (m.recorded_at, m.entry_seq) > (greatest(w.starts_at - 1, $7), $6)
     ORDER BY m.recorded_at, m.entry_seq LIMIT $9)
) x
LEFT JOIN projection.entry_actors e
    ON e.tenant = $1 AND e.shard = $2 AND e.entry_seq = x.entry_seq
ORDER BY x.entry_seq LIMIT $9

-- name: reached
-- How far every shard is.
SELECT shard, entries FROM projection.checkpoint

-- name: waiting
-- Usage events that wait for a price, after one in recorded order: of the account $2 and those below
-- it (0 = of all), of the product $3, with a quantity that waits for the reason $4 ('' = any).
WITH RECURSIVE line AS (
    SELECT a.account FROM projection.accounts a WHERE a.tenant = $1 AND a.account = $2
    UNION ALL
    SELECT a.account FROM projection.accounts a JOIN line l ON a.parent = l.account
    WHERE a.tenant = $1
)
SELECT w.shard, w.entry_seq, w.account, u.source, u.event_id, p.product, p.attributes::text,
       w.effective_at, w.recorded_at, p.quantity_names, w.quantities, w.reasons
FROM projection.waiting w
JOIN projection.plans p USING (tenant, shard, plan)
JOIN projection.usage_events u USING (tenant, shard, entry_seq)
WHERE w.tenant = $1 AND (w.recorded_at, w.shard, w.entry_seq) > ($5, $6, $7)
  AND ($2 = 0 OR w.account IN (SELECT account FROM line))
  AND ($3 = '' OR p.product = $3) AND ($4 = '' OR $4 = ANY(w.reasons))
ORDER BY w.recorded_at, w.shard, w.entry_seq LIMIT $8
