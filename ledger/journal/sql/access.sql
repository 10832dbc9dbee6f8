-- name: issue_key
-- A new API key; an unknown tenant fails on its foreign key.
INSERT INTO ledger.api_key (id, digest, tenant, accounts, scopes, label, issued_at, issued_by,
                            expires_at)
VALUES ($1, $2, $3, $4, $5, $6, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, $7, $8)
RETURNING issued_at

-- name: find_key
-- A key to verify by: its digest, whom it stands for, whether it is revoked. An account that was
-- erased has a pseudonym, which nobody resolves.
SELECT key.id, key.digest, coalesce(tenant.name, '*') AS tenant, key.scopes, key.expires_at,
       revocation.revoked_at IS NOT NULL AS revoked, cardinality(key.accounts) AS account_count,
       ARRAY(SELECT account.account_id FROM ledger.account_directory account
             WHERE account.tenant = key.tenant AND account.number = ANY (key.accounts)
             ORDER BY account.account_id) AS accounts
FROM ledger.api_key key
LEFT JOIN ledger.tenant tenant ON tenant.number = key.tenant
LEFT JOIN ledger.api_key_revocation revocation ON revocation.id = key.id
WHERE key.id = $1

-- name: list_keys
-- Every key, newest first; of one tenant, or of all where it is NULL.
SELECT key.id, coalesce(tenant.name, '*') AS tenant, key.scopes, key.label, key.issued_at,
       key.issued_by, key.expires_at, coalesce(revocation.revoked_at, 0) AS revoked_at,
       coalesce(revocation.revoked_by, '') AS revoked_by,
       ARRAY(SELECT account.account_id FROM ledger.account_directory account
             WHERE account.tenant = key.tenant AND account.number = ANY (key.accounts)
             ORDER BY account.account_id) AS accounts
FROM ledger.api_key key
LEFT JOIN ledger.tenant tenant ON tenant.number = key.tenant
LEFT JOIN ledger.api_key_revocation revocation ON revocation.id = key.id
WHERE $1::text IS NULL OR tenant.name = $1
ORDER BY key.issued_at DESC, key.id

-- name: revoke_key
-- Revoke a key; the first revocation stays.
INSERT INTO ledger.api_key_revocation (id, revoked_at, revoked_by)
SELECT id, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, $2
FROM ledger.api_key WHERE id = $1
ON CONFLICT DO NOTHING

-- name: has_key
-- Whether there is such a key.
SELECT EXISTS (SELECT 1 FROM ledger.api_key WHERE id = $1)

-- name: note_token
-- A token was signed.
INSERT INTO ledger.signed_token (token_id, key_id, subject, tenant, accounts, scopes, signed_at,
                                 signed_by, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, $7, $8)

-- name: make_secret
-- The first secret of the servers, made once.
INSERT INTO ledger.server_secret (secret) SELECT $1
WHERE NOT EXISTS (SELECT 1 FROM ledger.server_secret)
ON CONFLICT DO NOTHING

-- name: server_keys
-- The secrets of the servers, the newest first, and the first one last.
SELECT secret, before_until FROM (
    SELECT number, secret, before_until FROM ledger.server_key
    UNION ALL
    SELECT 0, secret, 0 FROM ledger.server_secret
) each ORDER BY number DESC

-- name: lock_server_keys
-- Whoever adds one waits for who does already, before it looks for the next number.
SELECT pg_advisory_xact_lock(hashtextextended('ledger.server_key', 0))

-- name: add_server_key
-- The next one.
INSERT INTO ledger.server_key (number, secret, made_at, made_by, before_until)
SELECT coalesce(max(number), 0) + 1, $1, t.now, $2, t.now + $3
FROM (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now) t
LEFT JOIN ledger.server_key ON true
GROUP BY t.now
RETURNING number

-- name: gateway_keys
-- What signs tokens of work that was let in, the newest first.
SELECT secret, before_until FROM ledger.gateway_key ORDER BY number DESC

-- name: first_gateway_key
-- Its first, made once.
INSERT INTO ledger.gateway_key (number, secret, made_at, made_by, before_until)
VALUES (1, $1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, 'server', 0)
ON CONFLICT DO NOTHING

-- name: lock_gateway_keys
-- As those of servers.
SELECT pg_advisory_xact_lock(hashtextextended('ledger.gateway_key', 0))

-- name: add_gateway_key
-- The next one.
INSERT INTO ledger.gateway_key (number, secret, made_at, made_by, before_until)
SELECT coalesce(max(number), 0) + 1, $1, t.now, $2, t.now + $3
FROM (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now) t
LEFT JOIN ledger.gateway_key ON true
GROUP BY t.now
RETURNING number

-- name: note_change
-- Who asks for a change that stands in no journal entry.
INSERT INTO ledger.change_asked (asked_at, actor, method, tenant, account, name)
VALUES ((extract(epoch FROM clock_timestamp()) * 1000000)::bigint, $1, $2, $3, $4, $5)

-- name: changes
-- The newest of them.
SELECT change.asked_at, change.actor, change.method, tenant.name AS tenant,
       coalesce(account.account_id, '') AS account, change.name
FROM ledger.change_asked change
JOIN ledger.tenant tenant ON tenant.number = change.tenant
LEFT JOIN ledger.account_directory account ON account.number = change.account
WHERE $1::text IS NULL OR tenant.name = $1
ORDER BY change.number DESC LIMIT $2
