-- One event, one call, one transaction: insert the usage unless its id is there, price it, lock the
-- account's grants in drawdown order and draw them, write the transfers, move the balance. The
-- commit of the call makes it durable. Answers the outcome, whether it was replayed, and the charge.

CREATE FUNCTION usual.record_usage(
    p_account bigint, p_source text, p_id text, p_effective_at bigint,
    p_product text, p_attributes jsonb, p_names text[], p_quantities bigint[]
) RETURNS TABLE (outcome text, replayed boolean, charge bigint) LANGUAGE plpgsql AS $$
DECLARE
    v_family bigint;
    v_charge bigint;
    v_priced int;
    v_left   bigint;
    v_take   bigint;
    v_grant  record;
    v_before record;
BEGIN
    SELECT a.family INTO v_family FROM usual.account a WHERE a.account = p_account;
    IF NOT FOUND THEN
        RETURN QUERY SELECT 'ACCOUNT_UNKNOWN', false, 0::bigint;
        RETURN;
    END IF;

    SELECT coalesce(sum(p.unit_price * u.quantity), 0), count(*) INTO v_charge, v_priced
    FROM unnest(p_names, p_quantities) AS u (name, quantity)
    JOIN usual.price p ON p.product = p_product AND p.mode = p_attributes ->> 'mode'
                      AND p.quantity = u.name;
    IF v_priced < cardinality(p_names) THEN
        RETURN QUERY SELECT 'UNPRICED', false, 0::bigint;
        RETURN;
    END IF;

    INSERT INTO usual.usage (family, source, id, account, effective_at, product, attributes,
                             names, quantities, charge)
    VALUES (v_family, p_source, p_id, p_account, p_effective_at, p_product, p_attributes,
            p_names, p_quantities, v_charge)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        SELECT u.charge, (u.account, u.effective_at, u.product, u.attributes, u.names, u.quantities)
                 = (p_account, p_effective_at, p_product, p_attributes, p_names, p_quantities) AS same
        INTO v_before
        FROM usual.usage u WHERE (u.family, u.source, u.id) = (v_family, p_source, p_id);
        RETURN QUERY SELECT CASE WHEN v_before.same THEN 'APPLIED' ELSE 'CONFLICT' END,
                            v_before.same, v_before.charge;
        RETURN;
    END IF;

    v_left := v_charge;
    FOR v_grant IN
        SELECT g.* FROM usual.grants g
        WHERE g.account = p_account AND g.drawn < g.amount AND g.effective_at <= p_effective_at
          AND (g.expires_at IS NULL OR g.expires_at > p_effective_at)
        ORDER BY g.priority, g.expires_at NULLS LAST, g.grant_id
        FOR UPDATE
    LOOP
        EXIT WHEN v_left = 0;
        v_take := least(v_left, v_grant.amount - v_grant.drawn);
        UPDATE usual.grants g SET drawn = g.drawn + v_take WHERE g.grant_id = v_grant.grant_id;
        INSERT INTO usual.transfer (family, source, usage_id, debit, credit, amount, value)
        VALUES (v_family, p_source, p_id, 'grant/' || v_grant.grant_id, 'used/' || p_product, v_take,
                div(v_grant.price_paid::numeric * (v_grant.drawn + v_take), v_grant.amount)
                - div(v_grant.price_paid::numeric * v_grant.drawn, v_grant.amount));
        v_left := v_left - v_take;
    END LOOP;
    IF v_left > 0 THEN
        INSERT INTO usual.transfer (family, source, usage_id, debit, credit, amount, value)
        VALUES (v_family, p_source, p_id, 'advance/' || p_account, 'used/' || p_product, v_left, 0);
    END IF;

    UPDATE usual.balance b
    SET available = b.available - (v_charge - v_left), owed = b.owed + v_left,
        used = b.used + v_charge
    WHERE b.account = p_account;
    RETURN QUERY SELECT 'APPLIED', false, v_charge;
END $$;
