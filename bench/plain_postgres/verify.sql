-- Accounts whose balance is not what their usage, grants and transfers say; 0 = all are right.
SELECT count(*)
FROM usual.balance b
LEFT JOIN (SELECT account, sum(amount - drawn) AS available, sum(drawn) AS drawn
           FROM usual.grants GROUP BY account) g USING (account)
LEFT JOIN (SELECT u.account, sum(t.amount) AS posted
           FROM usual.transfer t JOIN usual.usage u ON (u.family, u.source, u.id)
                = (t.family, t.source, t.usage_id) GROUP BY u.account) t USING (account)
WHERE b.available <> g.available OR b.used <> coalesce(t.posted, 0)
   OR b.owed <> coalesce(t.posted, 0) - g.drawn
