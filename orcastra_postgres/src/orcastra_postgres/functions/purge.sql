-- Forget the tasks of a queue that wait in p_state: 0 ready, 1 delayed or behind its ordering key, 3 dead. At most p_limit.
CREATE OR REPLACE FUNCTION {schema}.purge(p_domain int, p_queue text, p_state int, p_limit int) RETURNS int LANGUAGE plpgsql {pinned} AS $$
DECLARE
    q int := {schema}.queue_num(p_domain, p_queue);
    lanes int[] := ARRAY(SELECT num FROM {schema}.lane WHERE queue = q);
    v_gone uuid[];
    lines bytea[];
    okey bytea;
    tids tid[];
BEGIN
    PERFORM {schema}.lock_keys(array_agg(q), array_agg(x.okey)) FROM (SELECT DISTINCT l.okey FROM {schema}.line l WHERE l.queue = q) x;
    PERFORM {schema}.lock_lanes(ARRAY[q]);
    IF p_state = 0 THEN
        WITH d AS (
            DELETE FROM {schema}.ready WHERE ctid = ANY (ARRAY(
                SELECT r.ctid FROM unnest(lanes) l(num) CROSS JOIN LATERAL (
                    SELECT x.ctid FROM {schema}.ready x WHERE x.lane = l.num LIMIT p_limit FOR UPDATE SKIP LOCKED) r LIMIT p_limit
            )) RETURNING id
        ) SELECT array_agg(id) INTO v_gone FROM d;
    ELSIF p_state = 1 THEN
        WITH d AS (
            DELETE FROM {schema}.delayed WHERE ctid = ANY (ARRAY(
                SELECT x.ctid FROM {schema}.delayed x WHERE x.domain = p_domain AND x.lane = ANY (lanes)
                LIMIT p_limit FOR UPDATE SKIP LOCKED
            )) RETURNING id
        ), p AS (
            DELETE FROM {schema}.parked WHERE ctid = ANY (ARRAY(
                SELECT x.ctid FROM {schema}.parked x WHERE x.domain = p_domain AND x.lane = ANY (lanes) AND NOT x.moved
                LIMIT p_limit FOR UPDATE SKIP LOCKED
            )) RETURNING id
        ) SELECT array_agg(x.id) INTO v_gone FROM (SELECT d.id FROM d UNION ALL SELECT p.id FROM p) x;
    ELSE
        WITH d AS (
            DELETE FROM {schema}.dead WHERE ctid = ANY (ARRAY(
                SELECT x.ctid FROM {schema}.dead x WHERE x.domain = p_domain AND x.queue = q LIMIT p_limit FOR UPDATE SKIP LOCKED
            )) RETURNING id
        ) SELECT array_agg(id) INTO v_gone FROM d;
    END IF;
    IF v_gone IS NULL THEN
        RETURN 0;
    END IF;
    tids := ARRAY(
        SELECT y.ctid FROM unnest(v_gone) x(id)
        CROSS JOIN LATERAL (SELECT k.ctid FROM {schema}.task k WHERE k.domain = p_domain AND k.id = x.id OFFSET 0) y);
    -- first all of them, so that no key hands on to one that goes too
    DELETE FROM {schema}.dedup d WHERE d.queue = q AND d.key IN (
        SELECT t.dedup FROM {schema}.task t WHERE t.ctid = ANY (tids) AND t.dedup IS NOT NULL) AND d.id = ANY (v_gone);
    SELECT array_agg(DISTINCT t.okey) INTO lines FROM {schema}.task t
    WHERE t.ctid = ANY (tids) AND t.okey IS NOT NULL AND t.state <> 3;
    DELETE FROM {schema}.line l WHERE l.queue = q AND l.okey = ANY (lines) AND l.id = ANY (v_gone);
    DELETE FROM {schema}.task WHERE ctid = ANY (tids);
    IF lines IS NOT NULL THEN
        FOREACH okey IN ARRAY lines LOOP
            PERFORM {schema}.let_next_go(p_domain, q, okey);
        END LOOP;
    END IF;
    RETURN cardinality(v_gone);
END $$;
