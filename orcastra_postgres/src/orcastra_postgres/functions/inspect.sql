-- Count what is in queues, all of them if p_queues is null; never what is finished.
CREATE OR REPLACE FUNCTION {schema}.inspect(p_domain int, p_queues text[])
RETURNS TABLE (name text, paused boolean, ready bigint, oldest double precision, delayed bigint, running bigint, dead bigint)
LANGUAGE plpgsql AS $$
DECLARE
    now double precision := date_part('epoch', clock_timestamp());
BEGIN
    RETURN QUERY
    WITH q AS (
        SELECT x.num, x.name, x.paused FROM {schema}.queue x
        WHERE x.domain = p_domain AND (p_queues IS NULL OR x.name = ANY (p_queues))
    ), l AS (
        SELECT x.num, x.queue FROM {schema}.lane x JOIN q ON q.num = x.queue
    ), w AS (
        SELECT l.queue, x.kind, count(*) AS n, min(x.since) AS since FROM (
            SELECT r.lane, 0 AS kind, r.since FROM {schema}.ready r JOIN l ON l.num = r.lane
            UNION ALL SELECT d.lane, 1, NULL FROM {schema}.delayed d WHERE d.domain = p_domain
            UNION ALL SELECT p.lane, 1, NULL FROM {schema}.parked p WHERE p.domain = p_domain AND NOT p.moved
            UNION ALL SELECT r.lane, 2, NULL FROM {schema}.running r WHERE r.session IN (
                SELECT s.num FROM {schema}.session s WHERE s.domain = p_domain
                UNION ALL SELECT o.session FROM {schema}.orphan o WHERE o.domain = p_domain)
        ) x JOIN l ON l.num = x.lane
        GROUP BY l.queue, x.kind
    )
    SELECT q.name, q.paused, coalesce(a.n, 0), now - a.since, coalesce(b.n, 0), coalesce(c.n, 0),
        (SELECT count(*) FROM {schema}.dead d WHERE d.queue = q.num)
    FROM q
    LEFT JOIN w a ON a.queue = q.num AND a.kind = 0
    LEFT JOIN w b ON b.queue = q.num AND b.kind = 1
    LEFT JOIN w c ON c.queue = q.num AND c.kind = 2
    ORDER BY q.name;
END $$;
