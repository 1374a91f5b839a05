-- Store envelopes that have no keys and no counts: the usual ones, by the batch.
-- p_which says for each envelope which of the lanes is its own, if there is more than one. p_dues is null if none is to wait.
-- awaited: whether a session waits for something, so that it is worth to notify.
-- lanes are the numbers of the lanes, for later.
-- stored is null if all of them were: the others are here already.
CREATE OR REPLACE FUNCTION {schema}.publish_plain(
    p_domain int, p_queues text[], p_levels smallint[], p_which int[], p_ids uuid[], p_envelopes bytea[],
    p_dues double precision[], p_records bytea, p_sizes int[], OUT stored uuid[], OUT soon boolean, OUT awaited boolean, OUT lanes int[]
) LANGUAGE plpgsql {pinned} AS $$
DECLARE
    l int;
    now double precision := date_part('epoch', clock_timestamp());
    before double precision;
    i int;
BEGIN
    FOR i IN 1 .. cardinality(p_queues) LOOP
        l := {schema}.lane_num(p_domain, p_queues[i], p_levels[i]);
        lanes[i] := l;
    END LOOP;
    soon := false;
    IF p_dues IS NOT NULL THEN
        SELECT min(x.due) INTO before FROM unnest(p_dues) x(due) WHERE x.due > now;
        soon := before IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM {schema}.delayed d WHERE d.domain = p_domain AND d.due <= before);
        WITH t AS (
            INSERT INTO {schema}.task (domain, id, lane, place, state, due, envelope)
            SELECT p_domain, x.id, lanes[coalesce(x.which, 1)], nextval('{schema}.place'), (x.due > now IS TRUE)::int,
                CASE WHEN x.due > now THEN x.due END, x.envelope
            FROM unnest(p_ids, p_envelopes, p_dues, p_which) x(id, envelope, due, which)
            ON CONFLICT DO NOTHING
            RETURNING id, lane, place, due
        ), r AS (
            INSERT INTO {schema}.ready (lane, place, since, id) SELECT lane, place, now, id FROM t WHERE due IS NULL
        ), d AS (
            INSERT INTO {schema}.delayed (domain, due, place, id, lane)
            SELECT p_domain, due, place, id, lane FROM t WHERE due IS NOT NULL
        )
        SELECT array_agg(id) INTO stored FROM t;
    ELSIF p_which IS NOT NULL THEN
        WITH t AS (
            INSERT INTO {schema}.task (domain, id, lane, place, envelope)
            SELECT p_domain, x.id, lanes[x.which], nextval('{schema}.place'), x.envelope
            FROM unnest(p_ids, p_envelopes, p_which) x(id, envelope, which)
            ON CONFLICT DO NOTHING
            RETURNING id, lane, place
        ), r AS (
            INSERT INTO {schema}.ready (lane, place, since, id) SELECT lane, place, now, id FROM t
        )
        SELECT array_agg(id) INTO stored FROM t;
    ELSE
        WITH t AS (
            INSERT INTO {schema}.task (domain, id, lane, place, envelope)
            SELECT p_domain, x.id, l, nextval('{schema}.place'), x.envelope FROM unnest(p_ids, p_envelopes) x(id, envelope)
            ON CONFLICT DO NOTHING
            RETURNING id, place
        ), r AS (
            INSERT INTO {schema}.ready (lane, place, since, id) SELECT l, place, now, id FROM t
        )
        SELECT array_agg(id) INTO stored FROM t;
    END IF;
    IF cardinality(stored) = cardinality(p_ids) THEN
        stored := NULL;
        PERFORM {schema}.append_events(p_domain, p_records, p_sizes, NULL);
    ELSE
        stored := coalesce(stored, '{}');
        PERFORM {schema}.append_events(p_domain, p_records, p_sizes,
            (SELECT array_agg(x.id = ANY (stored) AND array_position(p_ids, x.id) = x.o ORDER BY x.o)
                FROM unnest(p_ids) WITH ORDINALITY x(id, o)));
    END IF;
    awaited := EXISTS (SELECT 1 FROM {schema}.reader WHERE domain = p_domain AND waiting);
END $$;
