-- name: accounts
-- Accounts of a shard after $6 with usage effective in [$3, $4) that was priced by a card, ascending.
SELECT DISTINCT u.account FROM projection.usage_events u
JOIN projection.plans p USING (tenant, shard, plan)
WHERE u.tenant = $1 AND u.shard = $2 AND u.effective_at >= $3 AND u.effective_at < $4
  AND u.outcome IN (1, 2) AND p.rate_card = $5 AND u.account > $6
ORDER BY u.account LIMIT $7

-- name: entries
-- Usage of an account effective in [$4, $5), by a card ('' = any), in the order recorded; whether it
-- stands in the stead of other usage, and in which batch of the journal: the first that ends after it.
WITH RECURSIVE used AS (
    SELECT u.entry_seq, a.entry_seq IS NOT NULL AS amended
    FROM projection.usage_events u
    JOIN projection.plans p USING (tenant, shard, plan)
    LEFT JOIN projection.amendments a USING (tenant, shard, entry_seq)
    WHERE u.tenant = $1 AND u.shard = $2 AND u.account = $3
      AND u.effective_at >= $4 AND u.effective_at < $5 AND u.outcome IN (1, 2)
      AND ($6 = '' OR p.rate_card = $6) AND u.entry_seq > $7
    ORDER BY u.entry_seq LIMIT $8
), search (entry_seq, amended, low, high) AS (
    SELECT entry_seq, amended, 1::bigint,
           (SELECT max(batch_seq) FROM ledger.journal WHERE shard = $2)
    FROM used
    UNION ALL
    SELECT s.entry_seq, s.amended,
           CASE WHEN j.first_event + j.event_count > s.entry_seq THEN s.low ELSE m.middle + 1 END,
           CASE WHEN j.first_event + j.event_count > s.entry_seq THEN m.middle ELSE s.high END
    FROM search s
    CROSS JOIN LATERAL (SELECT (s.low + s.high) / 2 AS middle) m
    JOIN ledger.journal j ON j.shard = $2 AND j.batch_seq = m.middle
    WHERE s.low < s.high
)
SELECT s.entry_seq, s.amended, j.batch_seq, j.first_event
FROM search s JOIN ledger.journal j ON j.shard = $2 AND j.batch_seq = s.low
WHERE s.low = s.high ORDER BY s.entry_seq
