-- Forget dead letters; their ids are remembered a while, and their failed results until their time.
CREATE OR REPLACE FUNCTION {schema}.forget_letters(p_domain int, p_ids uuid[], p_queue text, p_age double precision, p_limit int)
RETURNS int LANGUAGE plpgsql {pinned} AS $$
DECLARE
    now double precision := date_part('epoch', clock_timestamp());
    n int;
BEGIN
    WITH d AS (
        DELETE FROM {schema}.dead WHERE ctid = ANY (ARRAY(
            SELECT x.ctid FROM {schema}.dead x
            WHERE x.domain = p_domain AND x.at <= now - p_age AND (p_ids IS NULL OR x.id = ANY (p_ids))
                AND (p_queue IS NULL OR x.queue = (SELECT q.num FROM {schema}.queue q WHERE q.domain = p_domain AND q.name = p_queue))
            ORDER BY x.id LIMIT p_limit FOR UPDATE SKIP LOCKED
        )) RETURNING id, greatest(expires, now + {window}) AS gone
    ), t AS (
        UPDATE {schema}.task k SET state = 4, envelope = NULL, dedup = NULL, okey = NULL, gone = d.gone
        FROM d CROSS JOIN LATERAL (SELECT x.ctid FROM {schema}.task x WHERE x.domain = p_domain AND x.id = d.id OFFSET 0) y
        WHERE k.ctid = y.ctid
    ), f AS (
        INSERT INTO {schema}.fading (at, domain, ids) SELECT d.gone, p_domain, array_agg(d.id) FROM d GROUP BY d.gone
    )
    SELECT count(*) INTO n FROM d;
    RETURN n;
END $$;
