-- Hand out deliveries to a session, and take none of an older fetch of its any more.
-- p_wait: the session will wait if there is nothing. Those who make something ready notify only where somebody waits. One that was
-- under way as this was noted may have missed it, so the session soon looks once more: registered is told then.
-- p_seen is given after a fetch that got no answer: what the session holds besides is handed out first.
-- status: 0 done, 1 the session was reaped, 2 this fetch is older than another.
-- counts are attempt, lost, released of each; null if all of them are zero. next_in is told when there was nothing.
CREATE OR REPLACE FUNCTION {schema}.fetch(
    p_domain int, p_session bigint, p_number bigint, p_limit int, p_queues text[], p_most int[], p_seen bigint[], p_wait boolean,
    OUT status int, OUT more boolean, OUT next_in double precision, OUT registered boolean,
    OUT receipts bigint[], OUT counts int[], OUT envelopes bytea[], OUT promoted text[]
) LANGUAGE plpgsql {pinned} AS $$
DECLARE
    now double precision := date_part('epoch', clock_timestamp());
    lanes int[];
    started uuid[];
    total int;
    counted boolean;
    idle boolean;
BEGIN
    more := false;
    registered := false;
    SELECT waiting INTO idle FROM {schema}.reader WHERE session = p_session;
    UPDATE {schema}.reader SET number = p_number WHERE session = p_session AND number < p_number;
    IF NOT FOUND THEN
        status := CASE WHEN EXISTS (SELECT 1 FROM {schema}.reader WHERE session = p_session) THEN 2 ELSE 1 END;
        RETURN;
    END IF;
    status := 0;
    IF p_seen IS NOT NULL THEN
        SELECT count(*) INTO total FROM {schema}.running r WHERE r.session = p_session AND r.receipt <> ALL (p_seen);
        IF total > 0 THEN
            SELECT array_agg(x.receipt), array_agg(x.envelope), count(*) < total
            INTO receipts, envelopes, more
            FROM (
                SELECT y.receipt, y.envelope FROM (
                    SELECT r.receipt, t.envelope,
                        w.most, row_number() OVER (PARTITION BY l.queue ORDER BY r.receipt) AS nth
                    FROM {schema}.running r
                    JOIN {schema}.lane l ON l.num = r.lane
                    JOIN {schema}.queue q ON q.num = l.queue
                    JOIN unnest(p_queues, p_most) w(name, most) ON w.name = q.name
                    CROSS JOIN LATERAL (
                        SELECT k.envelope FROM {schema}.task k WHERE k.domain = p_domain AND k.id = r.id OFFSET 0
                    ) t
                    WHERE r.session = p_session AND r.receipt <> ALL (p_seen)
                ) y WHERE y.nth <= y.most ORDER BY y.receipt LIMIT p_limit
            ) x;
            counts := {schema}.counts_of(p_domain, p_session, receipts);
            RETURN;
        END IF;
    END IF;
    IF EXISTS (SELECT 1 FROM {schema}.delayed WHERE domain = p_domain AND due <= now) THEN
        SELECT queues INTO promoted FROM {schema}.promote_due(p_domain, 1000);
    END IF;
    SELECT array_agg(x.num) INTO lanes FROM (
        SELECT l.num FROM unnest(p_queues) WITH ORDINALITY w(name, o)
        JOIN {schema}.queue q ON q.domain = p_domain AND q.name = w.name
        JOIN {schema}.lane l ON l.queue = q.num
        WHERE NOT q.paused
        ORDER BY w.o, l.level
    ) x;
    IF lanes IS NOT NULL AND p_limit > 0 THEN
        WITH c AS (
            DELETE FROM {schema}.ready WHERE ctid = ANY (ARRAY(
                SELECT r.ctid
                FROM unnest(p_queues, p_most) w(name, most)
                CROSS JOIN LATERAL (  -- and no plain join, which may walk the queues in another order
                    SELECT x.num FROM {schema}.queue x WHERE x.domain = p_domain AND x.name = w.name AND NOT x.paused OFFSET 0
                ) q
                CROSS JOIN LATERAL (
                    SELECT y.ctid
                    FROM (SELECT num, mark FROM {schema}.lane WHERE queue = q.num ORDER BY level OFFSET 0) l
                    CROSS JOIN LATERAL (
                        SELECT x.ctid FROM {schema}.ready x WHERE x.lane = l.num AND x.place > l.mark
                        ORDER BY x.place LIMIT w.most FOR UPDATE SKIP LOCKED
                    ) y
                    LIMIT w.most
                ) r
                LIMIT p_limit
            )) RETURNING lane, place, id, flags
        ), h AS (
            INSERT INTO {schema}.running (session, receipt, id, lane)
            SELECT p_session, p_number << 16 | row_number() OVER (ORDER BY array_position(lanes, c.lane), c.place), c.id, c.lane
            FROM c
            RETURNING receipt, id
        )
        SELECT array_agg(x.receipt), array_agg(x.envelope), bool_or(x.counted), (SELECT array_agg(c.id) FROM c WHERE c.flags & 1 = 1)
        INTO receipts, envelopes, counted, started
        FROM (
            SELECT h.receipt, t.envelope, t.attempt <> 0 OR t.lost <> 0 OR t.released <> 0 AS counted
            FROM h CROSS JOIN LATERAL (
                SELECT k.envelope, k.attempt, k.lost, k.released FROM {schema}.task k WHERE k.domain = p_domain AND k.id = h.id OFFSET 0
            ) t
            ORDER BY h.receipt
        ) x;
        IF started IS NOT NULL THEN
            DELETE FROM {schema}.dedup WHERE ctid = ANY (ARRAY(
                SELECT d.ctid FROM unnest(started) x(id)
                CROSS JOIN LATERAL (
                    SELECT l.queue, k.dedup FROM {schema}.task k JOIN {schema}.lane l ON l.num = k.lane
                    WHERE k.domain = p_domain AND k.id = x.id OFFSET 0
                ) t
                CROSS JOIN LATERAL (
                    SELECT y.ctid FROM {schema}.dedup y WHERE y.queue = t.queue AND y.key = t.dedup AND y.id = x.id OFFSET 0
                ) d
            ));
        END IF;
    END IF;
    IF idle <> (receipts IS NULL AND p_wait) THEN
        registered := NOT idle;
        UPDATE {schema}.reader SET waiting = NOT idle WHERE session = p_session;
    END IF;
    IF receipts IS NULL THEN
        SELECT due - now INTO next_in FROM {schema}.delayed WHERE domain = p_domain ORDER BY due LIMIT 1;
    ELSIF counted THEN
        counts := {schema}.counts_of(p_domain, p_session, receipts);
    END IF;
END $$;
