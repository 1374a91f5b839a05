-- Settle a numbered batch, or return the answers it got before; without number and slot it is not numbered.
--
-- First the plain completions, which publish nothing and on which no keys hang, together; then the others one by one, p_of
-- saying for each envelope to publish which of them publishes it. p_keyed: keys hang on some of those.
-- p_sizes are the sizes of all items' records, plain ones first.
--
-- said: null if all were done and published nothing. F: the session was reaped. T: the number is too old. Else a line for each
-- item, plain ones first: s if it came too late, else d and the answers to what it published.
CREATE OR REPLACE FUNCTION {schema}.settle(
    p_domain int, p_session bigint, p_number bigint, p_slot smallint,
    p_receipts bigint[], p_ids uuid[], p_results bytea[], p_ttls double precision[],
    p_kinds text[], p_held bigint[], p_ends bytea[], p_keeps double precision[], p_afters double precision[],
    p_reasons bytea[], p_errors bytea[], p_keyed boolean,
    p_of int[], p_queues text[], p_levels smallint[], p_new uuid[], p_envelopes bytea[], p_dues double precision[],
    p_keys bytea[], p_modes smallint[], p_windows double precision[], p_okeys bytea[], p_counts text[],
    p_records bytea, p_sizes int[], OUT said text, OUT soon boolean
) LANGUAGE plpgsql {pinned} AS $$
DECLARE
    last bigint;
    kept text;
    alive boolean;
    had bigint[];
    n int := coalesce(cardinality(p_receipts), 0);
    m int := coalesce(cardinality(p_held), 0);
    lines text[];
    codes text[];
    before double precision;
    after double precision;
    v_id uuid;
    v_lane int;
    i int;
    j int := 1;
BEGIN
    soon := false;
    SELECT k.number, k.answers, s.num IS NOT NULL INTO last, kept, alive
    FROM {schema}.settled k LEFT JOIN {schema}.session s ON s.num = k.session
    WHERE k.session = p_session AND k.slot = p_slot FOR UPDATE OF k;
    IF p_slot IS NULL THEN
        SELECT true INTO alive FROM {schema}.session WHERE num = p_session;
    END IF;
    IF alive IS NOT TRUE THEN
        said := 'F';
        RETURN;
    ELSIF last = p_number THEN
        said := kept;
        RETURN;
    ELSIF last > p_number THEN
        said := 'T';
        RETURN;
    END IF;
    IF m > 0 AND p_keyed THEN
        PERFORM {schema}.lock_keys(array_agg(x.queue), array_agg(x.key)) FROM (
            SELECT l.queue, unnest(ARRAY[t.dedup, t.okey]) AS key
            FROM unnest(p_held) h(receipt)
            CROSS JOIN LATERAL (
                SELECT k.id FROM {schema}.running k WHERE k.session = p_session AND k.receipt = h.receipt OFFSET 0
            ) r
            CROSS JOIN LATERAL (
                SELECT k.dedup, k.okey, k.lane FROM {schema}.task k WHERE k.domain = p_domain AND k.id = r.id OFFSET 0
            ) t
            JOIN {schema}.lane l ON l.num = t.lane
            UNION ALL
            SELECT {schema}.queue_num(p_domain, e.queue), unnest(ARRAY[e.key, e.okey])
            FROM unnest(p_queues, p_keys, p_okeys) e(queue, key, okey) WHERE e.key IS NOT NULL OR e.okey IS NOT NULL
        ) x;
    END IF;
    IF m > 0 AND (p_keyed OR 'L' = ANY (p_kinds)) THEN
        PERFORM {schema}.lock_lanes(ARRAY(
            SELECT DISTINCT l.queue FROM unnest(p_held) h(receipt)
            CROSS JOIN LATERAL (
                SELECT k.lane FROM {schema}.running k WHERE k.session = p_session AND k.receipt = h.receipt OFFSET 0
            ) r
            JOIN {schema}.lane l ON l.num = r.lane
        ));
    END IF;
    IF n > 0 THEN
        WITH g AS (
            DELETE FROM {schema}.running WHERE ctid = ANY (ARRAY(
                SELECT y.ctid FROM unnest(p_receipts) x(receipt) CROSS JOIN LATERAL (
                    SELECT r.ctid FROM {schema}.running r WHERE r.session = p_session AND r.receipt = x.receipt OFFSET 0
                ) y
            )) RETURNING receipt
        )
        SELECT array_agg(receipt) INTO had FROM g;
        IF cardinality(had) = n THEN
            PERFORM {schema}.finish_many(p_domain, p_ids, p_results, p_ttls);
        ELSE
            SELECT array_agg(CASE WHEN x.receipt = ANY (had) THEN 'd' ELSE 's' END ORDER BY x.o) INTO lines
            FROM unnest(p_receipts) WITH ORDINALITY x(receipt, o);
            PERFORM {schema}.finish_many(p_domain, array_agg(x.id), array_agg(x.result), array_agg(x.ttl))
            FROM unnest(p_receipts, p_ids, p_results, p_ttls) x(receipt, id, result, ttl) WHERE x.receipt = ANY (had)
            HAVING count(*) > 0;
        END IF;
    END IF;
    IF m > 0 THEN
        lines := coalesce(lines, array_fill('d'::text, ARRAY[n]));
        SELECT due INTO before FROM {schema}.delayed WHERE domain = p_domain ORDER BY due LIMIT 1;
        FOR i IN 1 .. m LOOP
            DELETE FROM {schema}.running WHERE session = p_session AND receipt = p_held[i] RETURNING id, lane INTO v_id, v_lane;
            IF NOT FOUND THEN
                lines := lines || 's'::text;
                CONTINUE;
            END IF;
            PERFORM {schema}.settle_item(
                p_domain, v_id, v_lane, p_kinds[i], p_ends[i], p_keeps[i], p_afters[i], p_reasons[i], p_errors[i]);
            codes := '{}';
            WHILE p_of[j] <= i LOOP
                IF p_of[j] = i THEN
                    codes := codes || {schema}.publish_one(p_domain, p_new[j], p_queues[j], p_levels[j], p_envelopes[j], p_dues[j],
                        p_keys[j], p_modes[j], p_windows[j], p_okeys[j], p_counts[j]::int[]);
                END IF;
                j := j + 1;
            END LOOP;
            lines := lines || ('d' || array_to_string(codes, ','));
        END LOOP;
        SELECT due INTO after FROM {schema}.delayed WHERE domain = p_domain ORDER BY due LIMIT 1;
        soon := coalesce(after < before, after IS NOT NULL);
    END IF;
    IF lines IS NOT NULL AND lines <> array_fill('d'::text, ARRAY[n + m]) THEN
        said := array_to_string(lines, E'\n');
    END IF;
    PERFORM {schema}.append_events(p_domain, p_records, p_sizes, CASE WHEN said IS NOT NULL THEN
        (SELECT array_agg(x.line <> 's' ORDER BY x.o) FROM unnest(lines) WITH ORDINALITY x(line, o)) END);
    UPDATE {schema}.settled SET number = p_number, answers = said WHERE session = p_session AND slot = p_slot;
END $$;
