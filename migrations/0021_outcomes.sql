-- Outcomes in the read models: work that is charged once its result is confirmed. One is held for as
-- a hold is, so it is a row of holds. No journal from before holds one.

CREATE FUNCTION ledger.create_outcomes(name text) RETURNS void LANGUAGE plpgsql AS $create$
DECLARE
    before text := current_setting('search_path');
BEGIN
    PERFORM set_config('search_path', format('%I', name), true);

    -- When the work was reported, which was done at authorized_at; NULL = a hold.
    ALTER TABLE holds ADD COLUMN reported_at bigint;

    -- Outcomes with what their plan says. The charge of one that is confirmed is that of its usage.
    CREATE VIEW outcomes AS
    SELECT h.tenant, h.shard, h.number, h.entry_seq, h.account, p.product, p.attributes,
           p.quantity_names, h.quantities, h.asset, h.amount AS reserved_at_report,
           CASE h.state WHEN 0 THEN 'pending' WHEN 1 THEN 'confirmed' WHEN 4 THEN 'confirmed'
                        ELSE 'rejected' END AS state,
           h.state IN (3, 4) AS by_time, h.authorized_at AS effective_at, h.reported_at,
           nullif(h.expires_at, 9223372036854775807) AS due_at, h.settled_at, h.settled_by
    FROM holds h JOIN plans p USING (tenant, shard, plan)
    WHERE h.reported_at IS NOT NULL;

    PERFORM set_config('search_path', before, true);
END $create$;

ALTER FUNCTION ledger.create_projection(text) RENAME TO create_projection_before_outcomes;

CREATE FUNCTION ledger.create_projection(name text) RETURNS void LANGUAGE plpgsql AS $create$
BEGIN
    PERFORM ledger.create_projection_before_outcomes(name);
    PERFORM ledger.create_outcomes(name);
    PERFORM ledger.grant_projection(name);
END $create$;
REVOKE EXECUTE ON FUNCTION ledger.create_projection(text), ledger.create_outcomes(text) FROM PUBLIC;

SELECT ledger.create_outcomes('projection');
SELECT ledger.grant_projection('projection');
