-- name: fees
-- Fees of an account after entry $4, of one charge where $5 is not 0, in the order recorded.
SELECT l.entry_seq, l.charge, s.name, l.product, l.asset, l.period, l.period_start, l.period_end,
       l.quantity, l.amount, l.total, l.effective_at, l.recorded_at
FROM projection.fee_lines l
JOIN projection.charge_entries s
    ON s.tenant = l.tenant AND s.account = l.account AND s.charge = l.charge AND s.change = 1
WHERE l.tenant = $1 AND l.shard = $2 AND l.account = $3 AND l.entry_seq > $4
  AND ($5::bigint = 0 OR l.charge = $5)
ORDER BY l.entry_seq LIMIT $6
