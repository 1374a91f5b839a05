-- Store envelopes of any kind, one by one. Returns an answer each: see publish_one.
CREATE OR REPLACE FUNCTION {schema}.publish(
    p_domain int, p_queues text[], p_levels smallint[], p_ids uuid[], p_envelopes bytea[], p_dues double precision[],
    p_keys bytea[], p_modes smallint[], p_windows double precision[], p_okeys bytea[], p_counts text[],
    p_records bytea, p_sizes int[], OUT codes text[], OUT soon boolean, OUT awaited boolean
) LANGUAGE plpgsql {pinned} AS $$
DECLARE
    before double precision;
    after double precision;
    i int;
BEGIN
    PERFORM {schema}.lock_keys(array_agg({schema}.queue_num(p_domain, x.queue)), array_agg(x.key))
    FROM (
        SELECT queue, key FROM unnest(p_queues, p_keys) y(queue, key) WHERE key IS NOT NULL
        UNION ALL
        SELECT queue, key FROM unnest(p_queues, p_okeys) z(queue, key) WHERE key IS NOT NULL
    ) x;
    SELECT due INTO before FROM {schema}.delayed WHERE domain = p_domain ORDER BY due LIMIT 1;
    FOR i IN 1 .. cardinality(p_ids) LOOP
        codes[i] := {schema}.publish_one(p_domain, p_ids[i], p_queues[i], p_levels[i], p_envelopes[i], p_dues[i],
            p_keys[i], p_modes[i], p_windows[i], p_okeys[i], p_counts[i]::int[]);
    END LOOP;
    SELECT due INTO after FROM {schema}.delayed WHERE domain = p_domain ORDER BY due LIMIT 1;
    soon := coalesce(after < before, after IS NOT NULL);
    PERFORM {schema}.append_events(p_domain, p_records, p_sizes,
        (SELECT array_agg(c.code = 'S' ORDER BY c.o) FROM unnest(codes) WITH ORDINALITY c(code, o)));
    awaited := EXISTS (SELECT 1 FROM {schema}.reader WHERE domain = p_domain AND waiting);
END $$;
