-- End a session and hand out again what it held.
-- p_started: of which start of the server the judge of a lapse knows. After another one nobody was heard.
-- p_why: lapse (if it is silent for a lease), lock (if its lock is free and no connection has its name), expire (now),
-- leave (now; what it held was released), orphans (it has ended already).
CREATE OR REPLACE FUNCTION {schema}.reap(
    p_domain int, p_session bigint, p_id text, p_why text, p_beat_name text, p_limit int, p_started double precision,
    OUT ended boolean, OUT more boolean, OUT ids uuid[], OUT queues text[], OUT attempts int[], OUT losses int[], OUT releases int[]
) LANGUAGE plpgsql {pinned} AS $$
DECLARE
    now double precision;
    leaving boolean := p_why = 'leave';
BEGIN
    ended := false;
    more := false;
    ids := '{}';
    IF p_why = 'lapse' AND date_part('epoch', pg_postmaster_start_time()) IS DISTINCT FROM p_started THEN
        RETURN;
    END IF;
    IF p_why <> 'orphans' THEN
        IF p_why = 'lock' THEN
            IF EXISTS (SELECT 1 FROM pg_stat_activity a WHERE a.application_name = p_beat_name)
                OR NOT pg_try_advisory_xact_lock('{schema}.session'::regclass::oid::bigint::bit(32)::int, p_session::bit(32)::int) THEN
                RETURN;
            END IF;
        END IF;
        DELETE FROM {schema}.session s WHERE s.num = p_session AND s.domain = p_domain AND s.id = p_id
            AND (p_why <> 'lapse' OR date_part('epoch', clock_timestamp()) - s.beat >= s.lease)
            AND (p_why <> 'lock' OR s.locked);
        ended := FOUND;
        IF NOT ended THEN
            RETURN;
        END IF;
        DELETE FROM {schema}.reader WHERE session = p_session;  -- waits for a fetch under way; the next one finds nothing
        DELETE FROM {schema}.settled WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM {schema}.settled WHERE session = p_session FOR UPDATE SKIP LOCKED));
        INSERT INTO {schema}.orphan (session, domain, id) VALUES (p_session, p_domain, p_id) ON CONFLICT DO NOTHING;
    END IF;
    PERFORM 1 FROM {schema}.orphan WHERE session = p_session AND domain = p_domain FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    PERFORM {schema}.lock_lanes(ARRAY(
        SELECT DISTINCT l.queue FROM {schema}.running r JOIN {schema}.lane l ON l.num = r.lane WHERE r.session = p_session));
    now := date_part('epoch', clock_timestamp());
    WITH g AS (
        -- what a settle under way lets go is its own: that settle came first
        DELETE FROM {schema}.running WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM {schema}.running WHERE session = p_session ORDER BY receipt LIMIT p_limit FOR UPDATE SKIP LOCKED
        )) RETURNING id
    ), t AS (
        UPDATE {schema}.task k
        SET lost = CASE WHEN leaving THEN 0 ELSE least(lost::bigint + 1, {most}) END,
            released = least(released::bigint + leaving::int, {most})
        FROM g CROSS JOIN LATERAL (SELECT x.ctid FROM {schema}.task x WHERE x.domain = p_domain AND x.id = g.id OFFSET 0) y
        WHERE k.ctid = y.ctid
        RETURNING k.id, k.lane, k.place, k.attempt, k.lost, k.released
    ), r AS (
        INSERT INTO {schema}.ready (lane, place, since, id) SELECT lane, place, now, id FROM t
    ), b AS (
        UPDATE {schema}.lane l SET turn = l.turn + 1, mark = least(l.mark, x.place - 1)
        FROM (SELECT lane, min(place) AS place FROM t GROUP BY lane) x WHERE l.num = x.lane
    )
    SELECT coalesce(array_agg(t.id), '{}'), array_agg(q.name), array_agg(t.attempt), array_agg(t.lost), array_agg(t.released)
    INTO ids, queues, attempts, losses, releases
    FROM t JOIN {schema}.lane l ON l.num = t.lane JOIN {schema}.queue q ON q.num = l.queue;
    IF leaving THEN
        DELETE FROM {schema}.wish WHERE domain = p_domain AND id = ANY (ids);
    ELSIF cardinality(ids) > 0 THEN
        INSERT INTO {schema}.event (domain, n, kind, records)
        SELECT p_domain, cardinality(ids), 1, convert_to(jsonb_build_object(
            'at', now, 'session', p_id, 'ids', to_jsonb(ids), 'queues', to_jsonb(queues), 'attempts', to_jsonb(attempts),
            'losses', to_jsonb(losses), 'releases', to_jsonb(releases))::text, 'UTF8');
    END IF;
    more := EXISTS (SELECT 1 FROM {schema}.running WHERE session = p_session);
    IF NOT more THEN
        DELETE FROM {schema}.orphan WHERE session = p_session;
        DELETE FROM {schema}.settled WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM {schema}.settled WHERE session = p_session FOR UPDATE SKIP LOCKED));
    END IF;
END $$;
