-- The counts of what a session holds, in the order of the receipts: attempt, lost and released of each.
CREATE OR REPLACE FUNCTION {schema}.counts_of(p_domain int, p_session bigint, p_receipts bigint[]) RETURNS int[] LANGUAGE plpgsql AS $$
BEGIN
    RETURN (
        SELECT array_agg(ARRAY[t.attempt, t.lost, t.released] ORDER BY r.receipt)
        FROM unnest(p_receipts) r(receipt)
        CROSS JOIN LATERAL (
            SELECT k.id FROM {schema}.running k WHERE k.session = p_session AND k.receipt = r.receipt OFFSET 0
        ) h
        CROSS JOIN LATERAL (
            SELECT k.attempt, k.lost, k.released FROM {schema}.task k WHERE k.domain = p_domain AND k.id = h.id OFFSET 0
        ) t
    );
END $$;
