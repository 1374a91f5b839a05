-- Say where tasks are.
CREATE OR REPLACE FUNCTION {schema}.whereabouts(p_domain int, p_ids uuid[])
RETURNS TABLE (id uuid, state smallint, due double precision, attempt int, lost int, released int, envelope bytea, queue text, session text)
LANGUAGE plpgsql {pinned} AS $$
BEGIN
    RETURN QUERY
    SELECT t.id, t.state, t.due, t.attempt, t.lost, t.released, t.envelope, q.name,
        CASE WHEN t.state = 0 AND NOT EXISTS (SELECT 1 FROM {schema}.ready r WHERE r.lane = t.lane AND r.place = t.place) THEN coalesce((
            SELECT s.id FROM (
                SELECT a.num, a.id FROM {schema}.session a WHERE a.domain = p_domain
                UNION ALL SELECT o.session, o.id FROM {schema}.orphan o WHERE o.domain = p_domain
            ) s JOIN {schema}.running r ON r.session = s.num WHERE r.id = t.id LIMIT 1
        ), '') END
    FROM unnest(p_ids) i(id)
    CROSS JOIN LATERAL (SELECT k.* FROM {schema}.task k WHERE k.domain = p_domain AND k.id = i.id OFFSET 0) t
    JOIN {schema}.lane l ON l.num = t.lane
    JOIN {schema}.queue q ON q.num = l.queue;
END $$;
