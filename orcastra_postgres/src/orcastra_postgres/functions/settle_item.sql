-- Settle one delivery that its session has just let go: kind C complete, D dead, M moved, R retry, L release.
CREATE OR REPLACE FUNCTION {schema}.settle_item(
    p_domain int, p_id uuid, p_lane int, p_kind text, p_result bytea, p_ttl double precision, p_after double precision,
    p_reason bytea, p_error bytea
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    now double precision := date_part('epoch', clock_timestamp());
    v_due double precision := CASE WHEN p_after > 0 THEN now + p_after END;
    v_place bigint;
BEGIN
    DELETE FROM {schema}.wish WHERE domain = p_domain AND id = p_id;
    IF p_kind = 'C' THEN
        PERFORM {schema}.free_keys(p_domain, p_id, false);
        UPDATE {schema}.task
        SET state = 4, envelope = NULL, dedup = NULL, okey = NULL, result = p_result, gone = now + p_ttl
        WHERE domain = p_domain AND id = p_id;
        INSERT INTO {schema}.fading (at, domain, ids) VALUES (now + p_ttl, p_domain, ARRAY[p_id]);
    ELSIF p_kind = 'D' THEN
        PERFORM {schema}.free_keys(p_domain, p_id, false);
        UPDATE {schema}.task SET state = 3, result = p_result, gone = now + {dead_letter_ttl} WHERE domain = p_domain AND id = p_id;
        INSERT INTO {schema}.dead (domain, id, queue, at, reason, error, expires)
        SELECT p_domain, p_id, queue, now, p_reason, p_error, now + p_ttl FROM {schema}.lane WHERE num = p_lane;
        INSERT INTO {schema}.fading (at, domain, ids) VALUES (now + {dead_letter_ttl}, p_domain, ARRAY[p_id]);
    ELSIF p_kind = 'M' THEN
        UPDATE {schema}.task SET state = 5, gone = now + {moved_ttl} WHERE domain = p_domain AND id = p_id;
        INSERT INTO {schema}.parked (domain, lane, id, moved) VALUES (p_domain, p_lane, p_id, true);
        INSERT INTO {schema}.fading (at, domain, ids) VALUES (now + {moved_ttl}, p_domain, ARRAY[p_id]);
    ELSE
        UPDATE {schema}.task
        SET attempt = least(attempt::bigint + (p_kind = 'R')::int, {most}), lost = 0,
            released = least(released::bigint + (p_kind = 'L')::int, {most}),
            state = (v_due IS NOT NULL)::int, due = v_due,
            place = CASE WHEN p_kind = 'L' THEN place ELSE nextval('{schema}.place') END
        WHERE domain = p_domain AND id = p_id RETURNING place INTO v_place;
        IF v_due IS NOT NULL THEN
            INSERT INTO {schema}.delayed (domain, due, place, id, lane) VALUES (p_domain, v_due, v_place, p_id, p_lane);
        ELSIF p_kind = 'L' THEN
            PERFORM {schema}.put_back(p_lane, v_place, p_id);
        ELSE
            INSERT INTO {schema}.ready (lane, place, since, id) VALUES (p_lane, v_place, now, p_id);
        END IF;
    END IF;
END $$;
