-- A package has a charge cost otherwise within its period: another change of it, 8 = terms and quantity
-- from now on. The charges as they are say that quantity, too.

CREATE FUNCTION ledger.create_package_charges(name text) RETURNS void LANGUAGE plpgsql AS $create$
DECLARE
    before text := current_setting('search_path');
BEGIN
    PERFORM set_config('search_path', format('%I', name), true);

    CREATE OR REPLACE VIEW fixed_charges AS
    SELECT s.tenant, s.shard, s.charge, s.account, s.name, q.quantity, p.period, p.period_start,
           p.period_end, e.ends_at, s.entry_seq
    FROM charge_entries s
    JOIN LATERAL (
        SELECT quantity FROM charge_entries
        WHERE tenant = s.tenant AND account = s.account AND charge = s.charge
          AND change IN (1, 2, 3, 8) ORDER BY entry_seq DESC LIMIT 1
    ) q ON true
    LEFT JOIN LATERAL (
        SELECT period, period_start, period_end FROM charge_entries
        WHERE tenant = s.tenant AND account = s.account AND charge = s.charge AND change = 2
        ORDER BY entry_seq DESC LIMIT 1
    ) p ON true
    JOIN LATERAL (
        SELECT ends_at FROM charge_entries
        WHERE tenant = s.tenant AND account = s.account AND charge = s.charge
          AND change IN (1, 6, 7)
        ORDER BY entry_seq DESC LIMIT 1
    ) e ON true
    WHERE s.change = 1;

    PERFORM set_config('search_path', before, true);
END $create$;

ALTER FUNCTION ledger.create_projection(text) RENAME TO create_projection_before_package_charges;

CREATE FUNCTION ledger.create_projection(name text) RETURNS void LANGUAGE plpgsql AS $create$
BEGIN
    PERFORM ledger.create_projection_before_package_charges(name);
    PERFORM ledger.create_package_charges(name);
    PERFORM ledger.grant_projection(name);
END $create$;
REVOKE EXECUTE ON FUNCTION ledger.create_projection(text), ledger.create_package_charges(text)
    FROM PUBLIC;

SELECT ledger.create_package_charges('projection');
SELECT ledger.grant_projection('projection');
