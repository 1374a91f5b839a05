-- Store one envelope of any kind. Its keys are locked already; the key of a line that it leaves is locked here, out of their order.
-- Returns S, D and the id of what it is a duplicate of, or U: it is still here with other counts.
CREATE OR REPLACE FUNCTION {schema}.publish_one(
    p_domain int, p_id uuid, p_queue text, p_level smallint, p_envelope bytea, p_due double precision,
    p_key bytea, p_mode smallint, p_window double precision, p_okey bytea, p_counts int[]
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    now double precision := date_part('epoch', clock_timestamp());
    v_due double precision := CASE WHEN p_due > now THEN p_due END;
    v_key bytea := p_key;
    v_lane int := {schema}.lane_num(p_domain, p_queue, p_level);
    v_queue int := (SELECT queue FROM {schema}.lane WHERE num = v_lane);
    v_place bigint;
    v_state smallint;
    known boolean;
    in_line boolean := false;
    holder uuid;
    t record;
BEGIN
    LOOP
        SELECT k.state, k.born, k.okey, k.place, l.queue INTO t
        FROM {schema}.task k JOIN {schema}.lane l ON l.num = k.lane WHERE k.domain = p_domain AND k.id = p_id;
        known := FOUND;
        IF known THEN
            -- between two hand-overs by way of a Scheduler either count grows, so an earlier one is told from a later
            IF t.state IN (3, 4) OR p_counts IS NOT DISTINCT FROM t.born
                OR coalesce(p_counts[1]::bigint + p_counts[3], 0) < coalesce(t.born[1]::bigint + t.born[3], 0) THEN
                RETURN 'D' || p_id;
            END IF;
            IF t.state <> 5 THEN
                RETURN 'U';  -- faster than the settlement that says so
            END IF;
            IF p_mode <> 0 THEN
                v_key := NULL;  -- it may be another's by now; as its duplicate this task would be lost
            END IF;
        END IF;
        IF v_key IS NOT NULL THEN
            SELECT id INTO holder FROM {schema}.dedup
            WHERE queue = v_queue AND key = v_key AND (until IS NULL OR until > now);
            IF holder <> p_id THEN
                RETURN 'D' || holder;
            END IF;
        END IF;
        v_state := (v_due IS NOT NULL)::int;
        in_line := known AND t.okey IS NOT NULL AND t.okey IS NOT DISTINCT FROM p_okey AND t.queue = v_queue;
        IF p_okey IS NOT NULL AND NOT in_line
            AND EXISTS (SELECT 1 FROM {schema}.line WHERE queue = v_queue AND okey = p_okey) THEN
            v_state := 2;
        END IF;
        v_place := nextval('{schema}.place');
        IF known THEN
            DELETE FROM {schema}.parked WHERE domain = p_domain AND id = p_id AND moved;
            CONTINUE WHEN NOT FOUND;
            IF t.okey IS NOT NULL AND NOT in_line THEN
                PERFORM {schema}.lock_keys(ARRAY[t.queue], ARRAY[t.okey]);
                DELETE FROM {schema}.line WHERE queue = t.queue AND okey = t.okey AND id = p_id;
                PERFORM {schema}.let_next_go(p_domain, t.queue, t.okey);
            END IF;
            UPDATE {schema}.task
            SET lane = v_lane, place = v_place, state = v_state, due = v_due, gone = NULL, dedup = v_key, dedup_mode = p_mode,
                okey = p_okey, envelope = p_envelope, born = p_counts, attempt = coalesce(p_counts[1], 0),
                lost = coalesce(p_counts[2], 0), released = coalesce(p_counts[3], 0)
            WHERE domain = p_domain AND id = p_id;
        ELSE
            INSERT INTO {schema}.task
                (domain, id, lane, place, state, due, dedup, dedup_mode, okey, envelope, born, attempt, lost, released)
            VALUES (p_domain, p_id, v_lane, v_place, v_state, v_due, v_key, p_mode, p_okey, p_envelope, p_counts,
                coalesce(p_counts[1], 0), coalesce(p_counts[2], 0), coalesce(p_counts[3], 0))
            ON CONFLICT DO NOTHING;
            CONTINUE WHEN NOT FOUND;
        END IF;
        EXIT;
    END LOOP;
    IF v_key IS NOT NULL AND holder IS NULL THEN
        INSERT INTO {schema}.dedup (queue, key, id, until)
        VALUES (v_queue, v_key, p_id, CASE WHEN p_mode = 2 THEN now + p_window END)
        ON CONFLICT (queue, key) DO UPDATE SET id = excluded.id, until = excluded.until;
    END IF;
    IF p_okey IS NOT NULL AND NOT in_line THEN
        INSERT INTO {schema}.line (queue, okey, place, id) VALUES (v_queue, p_okey, v_place, p_id);
    END IF;
    IF v_state = 0 THEN
        INSERT INTO {schema}.ready (lane, place, since, id, flags)
        VALUES (v_lane, v_place, now, p_id, (v_key IS NOT NULL AND p_mode = 1)::int);
    ELSIF v_state = 1 THEN
        INSERT INTO {schema}.delayed (domain, due, place, id, lane) VALUES (p_domain, v_due, v_place, p_id, v_lane);
    ELSE
        INSERT INTO {schema}.parked (domain, lane, id, moved) VALUES (p_domain, v_lane, p_id, false);
    END IF;
    RETURN 'S';
END $$;
