-- Cancel tasks. R: it was waiting, envelopes has what it was. S: it is running. T: it has ended. U: unknown.
CREATE OR REPLACE FUNCTION {schema}.cancel(
    p_domain int, p_ids uuid[], p_results bytea[], p_ttls double precision[], p_records bytea, p_sizes int[],
    OUT codes text[], OUT envelopes bytea[], OUT ready text[]
) LANGUAGE plpgsql {pinned} AS $$
DECLARE
    now double precision;
    t record;
    again record;
    i int;
BEGIN
    PERFORM {schema}.lock_keys(array_agg(x.queue), array_agg(x.key)) FROM (
        SELECT l.queue, unnest(ARRAY[k.dedup, k.okey]) AS key
        FROM unnest(p_ids) y(id)
        CROSS JOIN LATERAL (SELECT z.* FROM {schema}.task z WHERE z.domain = p_domain AND z.id = y.id OFFSET 0) k
        JOIN {schema}.lane l ON l.num = k.lane
        WHERE k.dedup IS NOT NULL OR k.okey IS NOT NULL
    ) x;
    PERFORM {schema}.lock_lanes(ARRAY(
        SELECT DISTINCT l.queue
        FROM unnest(p_ids) y(id)
        CROSS JOIN LATERAL (SELECT z.* FROM {schema}.task z WHERE z.domain = p_domain AND z.id = y.id OFFSET 0) k
        JOIN {schema}.lane l ON l.num = k.lane
        WHERE k.okey IS NOT NULL));
    FOR i IN 1 .. cardinality(p_ids) LOOP
        envelopes[i] := NULL;
        LOOP
            SELECT state, lane, place, due, envelope INTO t FROM {schema}.task WHERE domain = p_domain AND id = p_ids[i];
            IF NOT FOUND THEN
                codes[i] := 'U';
                EXIT;
            ELSIF t.state IN (3, 4) THEN
                codes[i] := 'T';
                EXIT;
            ELSIF t.state = 0 THEN
                DELETE FROM {schema}.ready WHERE lane = t.lane AND place = t.place AND id = p_ids[i];
            ELSIF t.state = 1 THEN
                DELETE FROM {schema}.delayed WHERE domain = p_domain AND due = t.due AND place = t.place AND id = p_ids[i];
            ELSE
                DELETE FROM {schema}.parked WHERE domain = p_domain AND id = p_ids[i];
            END IF;
            IF FOUND THEN
                PERFORM {schema}.free_keys(p_domain, p_ids[i], false);
                now := date_part('epoch', clock_timestamp());
                UPDATE {schema}.task
                SET state = 4, envelope = NULL, dedup = NULL, okey = NULL, due = NULL, result = p_results[i], gone = now + p_ttls[i]
                WHERE domain = p_domain AND id = p_ids[i];
                INSERT INTO {schema}.fading (at, domain, ids) VALUES (now + p_ttls[i], p_domain, ARRAY[p_ids[i]]);
                codes[i] := 'R';
                envelopes[i] := t.envelope;
                EXIT;
            END IF;
            -- it runs, or it has moved on since we looked
            SELECT state, place INTO again FROM {schema}.task WHERE domain = p_domain AND id = p_ids[i];
            IF t.state = 0 AND again.state = 0 AND again.place = t.place AND NOT EXISTS (
                SELECT 1 FROM {schema}.ready WHERE lane = t.lane AND place = t.place) THEN
                INSERT INTO {schema}.wish (domain, id) VALUES (p_domain, p_ids[i]) ON CONFLICT DO NOTHING;
                codes[i] := 'S';
                EXIT;
            END IF;
        END LOOP;
    END LOOP;
    ready := ARRAY(
        SELECT DISTINCT q.name
        FROM unnest(p_ids) y(id)
        CROSS JOIN LATERAL (SELECT z.lane FROM {schema}.task z WHERE z.domain = p_domain AND z.id = y.id OFFSET 0) k
        JOIN {schema}.lane l ON l.num = k.lane JOIN {schema}.queue q ON q.num = l.queue);
    PERFORM {schema}.append_events(p_domain, p_records, p_sizes,
        (SELECT array_agg(c.code = 'R' ORDER BY c.o) FROM unnest(codes) WITH ORDINALITY c(code, o)));
END $$;
