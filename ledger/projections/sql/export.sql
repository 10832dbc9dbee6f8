-- name: session
-- One long reader: rows are written to files between two fetches.
SET search_path = projection;
SET idle_in_transaction_session_timeout = 0;
SET cursor_tuple_fraction = 1

-- name: copy
-- Which copy of the read models stands under the name: a rebuild puts another there.
SELECT to_regclass('projection.transfers')::oid

-- name: tenant
-- A tenant by name.
SELECT number FROM ledger.tenant WHERE name = $1

-- name: tenants
-- What there is, for a message.
SELECT name FROM ledger.tenant ORDER BY name LIMIT 20

-- name: positions
-- Where each shard's read models stand, and how far its journal went on.
SELECT n.shard, coalesce(c.batch_seq, 0), coalesce(c.entries, 0), coalesce(c.recorded_at, 0),
       coalesce(c.hash, decode(repeat('00', 32), 'hex')),
       coalesce(j.first_event + j.event_count, 0) AS head_entries
FROM ledger.settings s CROSS JOIN LATERAL generate_series(0, s.shards - 1) AS n (shard)
LEFT JOIN checkpoint c ON c.shard = n.shard
LEFT JOIN LATERAL (SELECT first_event, event_count FROM ledger.journal
                   WHERE shard = n.shard ORDER BY batch_seq DESC LIMIT 1) j ON true
ORDER BY n.shard

-- name: assets
-- The tenant's assets, as they were first defined.
SELECT c.version, b.body FROM ledger.configuration c
JOIN ledger.configuration_blob b ON b.hash = c.content_hash
WHERE c.tenant = $1 AND c.kind = 1 ORDER BY c.version

-- name: subtree
-- An account and all below it.
WITH RECURSIVE below AS (
    SELECT number, shard FROM ledger.account_directory
    WHERE tenant = $1 AND account_id = $2 AND state <> 3
    UNION ALL
    SELECT d.number, d.shard FROM ledger.account_directory d JOIN below b
    ON d.tenant = $1 AND d.parent = b.number
)
SELECT number, shard FROM below

-- name: owned_books
-- The books of these accounts ($3) of one shard: their own kinds ($4), and those of grants ($5).
SELECT b.book FROM books b
WHERE b.tenant = $1 AND b.shard = $2
  AND ((b.kind = ANY($4::int[]) AND b.owner = ANY($3::bigint[]))
    OR (b.kind = ANY($5::int[]) AND b.owner IN (
            SELECT g.number FROM grants g
            WHERE g.tenant = $1 AND g.shard = $2 AND g.account = ANY($3::bigint[]))))

-- name: books
-- Books by shard and number, with the account that they belong to; kinds of grants ($4), accounts ($5).
SELECT b.shard, b.book, b.kind, b.asset, b.owner, b.name,
       a.account, a.root, g.price_asset,
       CASE WHEN d.state <> 3 THEN d.account_id END AS account_id,
       CASE WHEN r.state <> 3 THEN r.account_id END AS root_id
FROM unnest($2::int[], $3::bigint[]) AS n (shard, book)
JOIN books b ON b.tenant = $1 AND b.shard = n.shard AND b.book = n.book
LEFT JOIN grants g ON g.tenant = $1 AND g.shard = b.shard AND g.number = b.owner
     AND b.kind = ANY($4::int[])
LEFT JOIN accounts a ON a.tenant = $1 AND a.shard = b.shard AND a.account =
     CASE WHEN b.kind = ANY($4::int[]) THEN g.account WHEN b.kind = ANY($5::int[]) THEN b.owner END
LEFT JOIN ledger.account_directory d ON d.number = a.account
LEFT JOIN ledger.account_directory r ON r.number = a.root

-- name: transfers
-- The range's transfers in the order of its time. Kinds ($2) are of one set or of both.
SELECT t.shard, t.entry_seq, t.line, t.debit_book, t.credit_book, t.asset, t.amount, t.phase, t.pot,
       t.value, t.cost, t.effective_at, t.recorded_at
FROM transfers t JOIN books b ON b.tenant = $1 AND b.shard = t.shard AND b.book = t.debit_book
WHERE t.tenant = $1 AND b.kind = ANY($2::int[]) AND t.phase = ANY($3::int[])
  AND ($4::bigint[] IS NULL OR t.asset = ANY($4::bigint[]))
  AND ($5::int IS NULL OR t.shard = $5::int)
  AND ($6::bigint[] IS NULL OR t.debit_book = ANY($6::bigint[]) OR t.credit_book = ANY($6::bigint[]))
  AND CASE WHEN $7 THEN t.recorded_at ELSE t.effective_at END >= $8::bigint
  AND CASE WHEN $7 THEN t.recorded_at ELSE t.effective_at END < $9::bigint
ORDER BY CASE WHEN $7 THEN t.recorded_at ELSE t.effective_at END, t.shard, t.entry_seq, t.line

-- name: extent
-- How many transfers of these phases the range has, and the earliest and latest time of them.
SELECT count(*) AS rows, min(w.at) AS first, max(w.at) AS last
FROM transfers t JOIN books b ON b.tenant = $1 AND b.shard = t.shard AND b.book = t.debit_book,
     LATERAL (SELECT CASE WHEN $7 THEN t.recorded_at ELSE t.effective_at END AS at) w
WHERE t.tenant = $1 AND b.kind = ANY($2::int[]) AND t.phase = ANY($3::int[])
  AND ($4::bigint[] IS NULL OR t.asset = ANY($4::bigint[]))
  AND ($5::int IS NULL OR t.shard = $5::int)
  AND ($6::bigint[] IS NULL OR t.debit_book = ANY($6::bigint[]) OR t.credit_book = ANY($6::bigint[]))
  AND w.at >= $8::bigint AND w.at < $9::bigint

-- name: balances
-- The four counters of each book, summed up from its transfers: before the range, before its end, and
-- in all; beside them what the book says. `rows` counts the postings in the range.
SELECT b.shard, b.book, s.*, b.debits_posted AS said_debits_posted,
       b.credits_posted AS said_credits_posted, b.debits_pending AS said_debits_pending,
       b.credits_pending AS said_credits_pending
FROM books b JOIN (
    SELECT m.shard AS of_shard, m.book AS of_book,
       count(*) FILTER (WHERE m.part = 1) AS rows,
       coalesce(sum(m.debit) FILTER (WHERE m.phase = 2 AND m.part = 0), 0) AS opening_debits_posted,
       coalesce(sum(m.credit) FILTER (WHERE m.phase = 2 AND m.part = 0), 0) AS opening_credits_posted,
       coalesce(sum(m.debit) FILTER (WHERE m.phase = 1 AND m.part = 0), 0)
         - coalesce(sum(m.debit) FILTER (WHERE m.phase = 3 AND m.part = 0), 0)
         AS opening_debits_pending,
       coalesce(sum(m.credit) FILTER (WHERE m.phase = 1 AND m.part = 0), 0)
         - coalesce(sum(m.credit) FILTER (WHERE m.phase = 3 AND m.part = 0), 0)
         AS opening_credits_pending,
       coalesce(sum(m.debit) FILTER (WHERE m.phase = 2 AND m.part <= 1), 0) AS closing_debits_posted,
       coalesce(sum(m.credit) FILTER (WHERE m.phase = 2 AND m.part <= 1), 0)
         AS closing_credits_posted,
       coalesce(sum(m.debit) FILTER (WHERE m.phase = 1 AND m.part <= 1), 0)
         - coalesce(sum(m.debit) FILTER (WHERE m.phase = 3 AND m.part <= 1), 0)
         AS closing_debits_pending,
       coalesce(sum(m.credit) FILTER (WHERE m.phase = 1 AND m.part <= 1), 0)
         - coalesce(sum(m.credit) FILTER (WHERE m.phase = 3 AND m.part <= 1), 0)
         AS closing_credits_pending,
       coalesce(sum(m.debit) FILTER (WHERE m.phase = 2), 0) AS all_debits_posted,
       coalesce(sum(m.credit) FILTER (WHERE m.phase = 2), 0) AS all_credits_posted,
       coalesce(sum(m.debit) FILTER (WHERE m.phase = 1), 0)
         - coalesce(sum(m.debit) FILTER (WHERE m.phase = 3), 0) AS all_debits_pending,
       coalesce(sum(m.credit) FILTER (WHERE m.phase = 1), 0)
         - coalesce(sum(m.credit) FILTER (WHERE m.phase = 3), 0) AS all_credits_pending
    FROM (
        SELECT t.shard, v.book, v.debit, v.credit, t.phase,
               CASE WHEN w.at < $6::bigint THEN 0 WHEN w.at < $7::bigint THEN 1 ELSE 2 END AS part
        FROM transfers t,
             LATERAL (SELECT CASE WHEN $5 THEN t.recorded_at ELSE t.effective_at END AS at) w,
             LATERAL (VALUES (t.debit_book, t.amount, NULL), (t.credit_book, NULL, t.amount))
                     v (book, debit, credit)
        WHERE t.tenant = $1
          AND ($8::int IS NULL OR t.shard = $8::int)
          AND ($3::bigint[] IS NULL OR t.asset = ANY($3::bigint[]))
          AND ($4::bigint[] IS NULL OR t.debit_book = ANY($4::bigint[])
               OR t.credit_book = ANY($4::bigint[]))
    ) m
    GROUP BY m.shard, m.book
) s ON b.shard = s.of_shard AND b.book = s.of_book
WHERE b.tenant = $1 AND b.kind = ANY($2::int[])
ORDER BY b.kind, b.owner, b.name, b.asset, b.shard

-- name: strange_kinds
-- Kinds of books that this program does not know.
SELECT DISTINCT kind FROM books WHERE tenant = $1 AND NOT kind = ANY($2::int[]) ORDER BY kind
