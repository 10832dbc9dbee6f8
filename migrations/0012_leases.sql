-- Which process serves which shard, and what each process has to forget of the directory. Small
-- tables: a row a process and a shard, written about twice a second a process. Expiries are by this
-- database's clock. Writes to the journal never depend on them: its primary key is the fence.

-- The processes that live. `leaving`: it takes no shard any more and hands over what it has.
CREATE TABLE ledger.server (
    process     text        PRIMARY KEY CHECK (octet_length(process) BETWEEN 1 AND 512),
    address     text        NOT NULL CHECK (octet_length(address) BETWEEN 1 AND 512),
    leaving     boolean     NOT NULL DEFAULT false,
    joined_at   timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL
) WITH (fillfactor = 50);

-- Who may answer reads of a shard. Taken only when it ran out or was released; each taking is a new
-- epoch, so that a renewal of an older one changes nothing.
CREATE TABLE ledger.shard_lease (
    shard       int         PRIMARY KEY CHECK (shard >= 0),
    epoch       bigint      NOT NULL CHECK (epoch >= 1),
    owner       text        NOT NULL CHECK (octet_length(owner) BETWEEN 1 AND 512),
    address     text        NOT NULL CHECK (octet_length(address) BETWEEN 1 AND 512),
    taken_at    timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL
) WITH (fillfactor = 50);

-- What changed in the directory of late, for the caches of other processes: an alias, or an account
-- (by number) that was erased. Versions are gapless in the order of commits, because the counter's
-- row stays locked until then; rows are kept for a minute.
CREATE TABLE ledger.directory_version (
    only_row  boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version   bigint  NOT NULL
) WITH (fillfactor = 50);
INSERT INTO ledger.directory_version (version) VALUES (0);

CREATE TABLE ledger.directory_change (
    version     bigint      PRIMARY KEY,
    tenant      int         NOT NULL,
    alias       text COLLATE "C",                 -- NULL: an account was erased
    account     bigint      NOT NULL,
    changed_at  timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION ledger.note_directory_change(in_tenant int, in_alias text, in_account bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    next_version bigint;
BEGIN
    UPDATE ledger.directory_version SET version = version + 1 RETURNING version INTO next_version;
    DELETE FROM ledger.directory_change WHERE changed_at < now() - interval '1 minute';
    INSERT INTO ledger.directory_change (version, tenant, alias, account)
    VALUES (next_version, in_tenant, in_alias, in_account);
END $$;

CREATE FUNCTION ledger.alias_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM ledger.note_directory_change(NEW.tenant, NEW.alias, NEW.account);
    RETURN NULL;
END $$;

-- An erased name must not stand here either: what is left of it goes, the number says the rest.
CREATE FUNCTION ledger.alias_erased() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM ledger.note_directory_change(OLD.tenant, NULL, OLD.account);
    DELETE FROM ledger.directory_change WHERE tenant = OLD.tenant AND alias = OLD.alias;
    RETURN NULL;
END $$;

CREATE FUNCTION ledger.account_erased() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM ledger.note_directory_change(NEW.tenant, NULL, NEW.number);
    RETURN NULL;
END $$;

-- Deferred: the counter is locked last, so that nobody who holds it waits for anything.
CREATE CONSTRAINT TRIGGER alias_changed AFTER INSERT OR UPDATE ON ledger.account_alias
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger.alias_changed();
CREATE CONSTRAINT TRIGGER alias_erased AFTER DELETE ON ledger.account_alias
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger.alias_erased();
CREATE CONSTRAINT TRIGGER account_erased AFTER UPDATE ON ledger.account_directory
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.state = 3 AND OLD.state <> 3) EXECUTE FUNCTION ledger.account_erased();
