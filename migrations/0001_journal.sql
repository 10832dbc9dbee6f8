-- The journal: one row a batch, append-only, hash-chained per shard; and its erasable side table.
-- Partitions hold a million batches each and are made ahead of need. By batch_seq, not by time:
-- the primary key (shard, batch_seq) is the fence between two writers and must stay unique.

CREATE TABLE ledger.journal (
    shard        int      NOT NULL CHECK (shard >= 0),
    batch_seq    bigint   NOT NULL CHECK (batch_seq >= 1),
    recorded_at  bigint   NOT NULL,                          -- microseconds since 1970, UTC
    first_event  bigint   NOT NULL CHECK (first_event >= 0),
    event_count  int      NOT NULL CHECK (event_count >= 1),
    format       smallint NOT NULL CHECK (format >= 1),
    codec        smallint NOT NULL CHECK (codec >= 1),
    prev_hash    bytea    NOT NULL CHECK (octet_length(prev_hash) = 32),
    hash         bytea    NOT NULL CHECK (octet_length(hash) = 32),
    payload      bytea    NOT NULL,                          -- compressed before it comes here
    PRIMARY KEY (shard, batch_seq),
    CONSTRAINT journal_genesis CHECK (batch_seq > 1 OR prev_hash = decode(repeat('00', 32), 'hex'))
) PARTITION BY RANGE (batch_seq);
ALTER TABLE ledger.journal ALTER COLUMN payload SET STORAGE EXTERNAL;

-- What could identify a person: written with the batch, not part of its hash, may be blanked.
CREATE TABLE ledger.journal_private (
    shard      int    NOT NULL,
    batch_seq  bigint NOT NULL,
    records    bytea  NOT NULL,
    PRIMARY KEY (shard, batch_seq)
) PARTITION BY RANGE (batch_seq);
ALTER TABLE ledger.journal_private ALTER COLUMN records SET STORAGE EXTERNAL;

CREATE FUNCTION ledger.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on %.% is refused: it is append-only', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege',
              HINT = 'Corrections are new entries. Archive whole partitions by detaching them.';
END $$;

-- ALWAYS: also under session_replication_role = replica.
CREATE FUNCTION ledger.make_append_only(target regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %s '
                   'FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change()', target);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER append_only', target);
END $$;
SELECT ledger.make_append_only('ledger.journal');

-- The last batch_seq that has a partition; -1 = none.
CREATE FUNCTION ledger.journal_capacity() RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT coalesce(max(substring(c.relname FROM 'journal_p(\d+)$')::bigint + 1), 0) * 1000000 - 1
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'ledger.journal'::regclass
$$;

-- Make partitions until batch `through` has a place; returns the new capacity. Attaching takes a
-- lock that does not stop inserts. Runs with its owner's rights: the application role may not
-- create tables, but must be able to go on.
CREATE FUNCTION ledger.ensure_partitions(through bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    parent     text;
    part       text;
    ordinal    bigint;
BEGIN
    IF through > ledger.journal_capacity() + 100000000 THEN
        RAISE EXCEPTION 'batch % is more than 100 partitions ahead of %',
            through, ledger.journal_capacity() USING ERRCODE = 'program_limit_exceeded';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('ledger.ensure_partitions', 0));
    WHILE ledger.journal_capacity() < through LOOP
        ordinal := (ledger.journal_capacity() + 1) / 1000000;
        FOREACH parent IN ARRAY ARRAY['journal_private', 'journal'] LOOP
            part := format('%s_p%s', parent, lpad(ordinal::text, 6, '0'));
            EXECUTE format('CREATE TABLE ledger.%I (LIKE ledger.%I INCLUDING ALL)', part, parent);
            EXECUTE format(
                'ALTER TABLE ledger.%I ATTACH PARTITION ledger.%I FOR VALUES FROM (%s) TO (%s)',
                parent, part, ordinal * 1000000, (ordinal + 1) * 1000000);
        END LOOP;
        PERFORM ledger.make_append_only(format('ledger.%I', part)::regclass);
    END LOOP;
    RETURN ledger.journal_capacity();
END $$;
REVOKE EXECUTE ON FUNCTION ledger.ensure_partitions(bigint) FROM PUBLIC;
SELECT ledger.ensure_partitions(1999999);
