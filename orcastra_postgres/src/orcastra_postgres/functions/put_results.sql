-- Store results of tasks of another store; of two of one id the later end stays, and what runs here is none of theirs.
-- Returns what is there already under those ids, of tasks that have ended: the caller decides which end was later.
CREATE OR REPLACE FUNCTION {schema}.put_results(p_domain int, p_ids uuid[], p_results bytea[], p_ttls double precision[])
RETURNS TABLE (id uuid, result bytea, stored boolean) LANGUAGE plpgsql {pinned} AS $$
DECLARE
    now double precision := date_part('epoch', clock_timestamp());
    lane int := {schema}.lane_num(p_domain, '', 0::smallint);
BEGIN
    RETURN QUERY
    WITH t AS (
        INSERT INTO {schema}.task (domain, id, lane, state, result, gone)
        SELECT p_domain, x.id, lane, 4, x.result, now + x.ttl FROM unnest(p_ids, p_results, p_ttls) x(id, result, ttl)
        ON CONFLICT DO NOTHING RETURNING task.id, task.gone
    ), f AS (
        INSERT INTO {schema}.fading (at, domain, ids) SELECT t.gone, p_domain, array_agg(t.id) FROM t GROUP BY t.gone
    )
    SELECT t.id, NULL::bytea, true FROM t
    UNION ALL
    SELECT k.id, k.result, false
    FROM unnest(p_ids) x(id)
    CROSS JOIN LATERAL (SELECT y.* FROM {schema}.task y WHERE y.domain = p_domain AND y.id = x.id OFFSET 0) k
    WHERE k.state = 4 AND k.result IS NOT NULL AND k.gone > now;
END $$;
