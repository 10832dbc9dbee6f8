-- name: standing
-- An account and those that stood below it at an instant, $4, by the moves recorded by then.
WITH RECURSIVE family AS (
    SELECT a.account, coalesce((SELECT m.before FROM projection.account_moves m
                                WHERE m.tenant = $1 AND m.shard = $2 AND m.account = a.account
                                  AND m.moved_at > $4 ORDER BY m.version LIMIT 1), a.parent) AS parent
    FROM projection.accounts a
    WHERE a.tenant = $1 AND a.shard = $2 AND a.created_at <= $4
      AND a.root = (SELECT root FROM projection.accounts
                    WHERE tenant = $1 AND shard = $2 AND account = $3)
), below (account) AS (
    SELECT account FROM family WHERE account = $3
    UNION ALL
    SELECT f.account FROM below b JOIN family f ON f.parent = b.account
)
SELECT account FROM below ORDER BY account

-- name: grants
-- The grants of accounts that were issued by an instant.
SELECT g.number, g.account, g.asset, g.amount, g.effective_at, g.expires_at, g.products, g.tags,
       g.attributes::text, g.book, g.state, g.issued_at, g.settled_at
FROM unnest($3::bigint[]) AS w (account)
JOIN projection.grants g ON g.tenant = $1 AND g.shard = $2 AND g.account = w.account
WHERE g.issued_at <= $4
ORDER BY g.number

-- name: debts
-- The advance and overage books of accounts, by account.
SELECT b.owner, b.book, b.kind, b.asset
FROM unnest($3::bigint[]) AS w (account)
JOIN projection.books b
    ON b.tenant = $1 AND b.shard = $2 AND b.owner = w.account AND b.kind IN (2, 3)
ORDER BY b.book

-- name: policies
-- The policies of accounts that were in force at an instant.
SELECT DISTINCT ON (p.account) p.account, p.policy::text
FROM unnest($3::bigint[]) AS w (account)
JOIN projection.account_policies p
    ON p.tenant = $1 AND p.shard = $2 AND p.account = w.account AND p.recorded_at <= $4
ORDER BY p.account, p.version DESC
