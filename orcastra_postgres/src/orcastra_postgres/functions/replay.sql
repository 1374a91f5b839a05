-- Put dead letters back into their queues, at the tail, counts at zero: p_envelopes are what they were, without counts.
-- Returns S, D and the id that holds the dedup key, or null for what is no dead letter.
CREATE OR REPLACE FUNCTION {schema}.replay(
    p_domain int, p_ids uuid[], p_envelopes bytea[], p_dues double precision[], p_keys bytea[], p_modes smallint[],
    p_windows double precision[], p_okeys bytea[], p_records bytea, p_sizes int[], OUT codes text[], OUT soon boolean
) LANGUAGE plpgsql {pinned} AS $$
DECLARE
    now double precision := date_part('epoch', clock_timestamp());
    t record;
    holder uuid;
    v_place bigint;
    v_due double precision;
    v_state smallint;
    i int;
BEGIN
    soon := false;
    PERFORM {schema}.lock_keys(array_agg(x.queue), array_agg(x.key)) FROM (
        SELECT d.queue, unnest(ARRAY[y.key, y.okey]) AS key FROM unnest(p_ids, p_keys, p_okeys) y(id, key, okey)
        JOIN {schema}.dead d ON d.domain = p_domain AND d.id = y.id WHERE y.key IS NOT NULL OR y.okey IS NOT NULL
    ) x;
    FOR i IN 1 .. cardinality(p_ids) LOOP
        codes[i] := NULL;
        SELECT d.queue, k.lane INTO t FROM {schema}.dead d JOIN {schema}.task k ON k.domain = d.domain AND k.id = d.id
        WHERE d.domain = p_domain AND d.id = p_ids[i] FOR UPDATE OF d;
        CONTINUE WHEN NOT FOUND;
        IF p_keys[i] IS NOT NULL THEN
            SELECT id INTO holder FROM {schema}.dedup
            WHERE queue = t.queue AND key = p_keys[i] AND (until IS NULL OR until > now);
            IF holder <> p_ids[i] THEN
                codes[i] := 'D' || holder;
                CONTINUE;
            END IF;
            INSERT INTO {schema}.dedup (queue, key, id, until)
            VALUES (t.queue, p_keys[i], p_ids[i], CASE WHEN p_modes[i] = 2 THEN now + p_windows[i] END)
            ON CONFLICT (queue, key) DO UPDATE SET id = excluded.id, until = excluded.until;
        END IF;
        DELETE FROM {schema}.dead WHERE domain = p_domain AND id = p_ids[i];
        v_place := nextval('{schema}.place');
        v_due := CASE WHEN p_dues[i] > now THEN p_dues[i] END;
        v_state := (v_due IS NOT NULL)::int;
        IF p_okeys[i] IS NOT NULL THEN
            IF EXISTS (SELECT 1 FROM {schema}.line WHERE queue = t.queue AND okey = p_okeys[i]) THEN
                v_state := 2;
            END IF;
            INSERT INTO {schema}.line (queue, okey, place, id) VALUES (t.queue, p_okeys[i], v_place, p_ids[i]);
        END IF;
        UPDATE {schema}.task
        SET state = v_state, place = v_place, due = v_due, gone = NULL, result = NULL, attempt = 0, lost = 0, released = 0, born = NULL,
            dedup = p_keys[i], dedup_mode = p_modes[i], okey = p_okeys[i], envelope = p_envelopes[i]
        WHERE domain = p_domain AND id = p_ids[i];
        IF v_state = 0 THEN
            INSERT INTO {schema}.ready (lane, place, since, id, flags)
            VALUES (t.lane, v_place, now, p_ids[i], (p_keys[i] IS NOT NULL AND p_modes[i] = 1)::int);
        ELSIF v_state = 1 THEN
            INSERT INTO {schema}.delayed (domain, due, place, id, lane) VALUES (p_domain, v_due, v_place, p_ids[i], t.lane);
            soon := true;
        ELSE
            INSERT INTO {schema}.parked (domain, lane, id, moved) VALUES (p_domain, t.lane, p_ids[i], false);
        END IF;
        codes[i] := 'S';
    END LOOP;
    PERFORM {schema}.append_events(p_domain, p_records, p_sizes,
        (SELECT array_agg(coalesce(c.code = 'S', false) ORDER BY c.o) FROM unnest(codes) WITH ORDINALITY c(code, o)));
END $$;
