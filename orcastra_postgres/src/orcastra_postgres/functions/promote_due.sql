-- Make delayed tasks ready whose moment has come, in the order of their moments.
CREATE OR REPLACE FUNCTION {schema}.promote_due(p_domain int, p_limit int, OUT done int, OUT queues text[]) LANGUAGE plpgsql AS $$
DECLARE
    now double precision := date_part('epoch', clock_timestamp());
BEGIN
    WITH d AS (
        DELETE FROM {schema}.delayed WHERE ctid = ANY (ARRAY(
            SELECT x.ctid FROM {schema}.delayed x WHERE x.domain = p_domain AND x.due <= now
            ORDER BY x.due, x.place LIMIT p_limit FOR UPDATE SKIP LOCKED
        )) RETURNING due, place, id
    ), o AS (
        SELECT s.id, nextval('{schema}.place') AS place FROM (SELECT d.id FROM d ORDER BY d.due, d.place) s
    ), t AS (
        UPDATE {schema}.task k SET state = 0, due = NULL, place = o.place
        FROM o CROSS JOIN LATERAL (SELECT x.ctid FROM {schema}.task x WHERE x.domain = p_domain AND x.id = o.id OFFSET 0) y
        WHERE k.ctid = y.ctid
        RETURNING k.lane, k.place, k.id, (k.dedup IS NOT NULL AND k.dedup_mode = 1)::int AS flags
    ), r AS (
        INSERT INTO {schema}.ready (lane, place, since, id, flags) SELECT lane, place, now, id, flags FROM t RETURNING lane
    )
    SELECT (SELECT count(*) FROM r), ARRAY(
        SELECT DISTINCT q.name FROM (SELECT DISTINCT lane FROM r) x
        JOIN {schema}.lane l ON l.num = x.lane JOIN {schema}.queue q ON q.num = l.queue
    ) INTO done, queues;
END $$;
