-- Drop results past their TTL, ids past their window and dead letters past their time; say how many results went, and how many
-- rows were looked at: there may be more while that is p_limit or greater.
CREATE OR REPLACE FUNCTION {schema}.prune(p_domain int, p_limit int, OUT results int, OUT looked int) LANGUAGE plpgsql {pinned} AS $$
DECLARE
    now double precision := date_part('epoch', clock_timestamp());
    f record;
    faded uuid[];
    rest uuid[];
    tids tid[];
    queues int[];
    keys bytea[];
    t record;
BEGIN
    results := 0;
    looked := 0;
    -- tasks that were moved away and have never come back free keys: each is alone in its row here
    SELECT array_agg(l.queue), array_agg(x.key) INTO queues, keys
    FROM (
        SELECT k.lane, unnest(ARRAY[k.dedup, k.okey]) AS key
        FROM (
            SELECT e.ids FROM {schema}.fading e WHERE e.domain = p_domain AND e.at <= now ORDER BY e.at, e.serial LIMIT p_limit
        ) d
        CROSS JOIN LATERAL (
            SELECT z.lane, z.dedup, z.okey FROM {schema}.task z
            WHERE cardinality(d.ids) = 1 AND z.domain = p_domain AND z.id = d.ids[1] AND z.state = 5 OFFSET 0
        ) k
    ) x JOIN {schema}.lane l ON l.num = x.lane
    WHERE x.key IS NOT NULL;
    IF queues IS NOT NULL THEN
        PERFORM {schema}.lock_keys(queues, keys);
        PERFORM {schema}.lock_lanes(queues);
    END IF;
    FOR f IN SELECT at, serial, ids FROM {schema}.fading WHERE domain = p_domain AND at <= now ORDER BY at, serial FOR UPDATE SKIP LOCKED LOOP
        EXIT WHEN looked >= p_limit;
        rest := f.ids[p_limit - looked + 1 :];
        f.ids := f.ids[: p_limit - looked];
        looked := looked + cardinality(f.ids);
        IF cardinality(rest) > 0 THEN
            UPDATE {schema}.fading SET ids = rest WHERE domain = p_domain AND at = f.at AND serial = f.serial;
        ELSE
            DELETE FROM {schema}.fading WHERE domain = p_domain AND at = f.at AND serial = f.serial;
        END IF;
        tids := ARRAY(
            SELECT y.ctid FROM unnest(f.ids) x(id)
            CROSS JOIN LATERAL (SELECT k.ctid FROM {schema}.task k WHERE k.domain = p_domain AND k.id = x.id OFFSET 0) y);
        WITH u AS (
            UPDATE {schema}.task SET result = NULL, gone = now + {window}
            WHERE ctid = ANY (tids) AND state = 4 AND gone <= now AND result IS NOT NULL RETURNING id
        ) SELECT array_agg(id) INTO faded FROM u;
        IF faded IS NOT NULL THEN
            INSERT INTO {schema}.fading (at, domain, ids) VALUES (now + {window}, p_domain, faded);
            results := results + cardinality(faded);
        END IF;
        FOR t IN
            SELECT id, state FROM {schema}.task WHERE ctid = ANY (tids) AND state IN (3, 5) AND gone <= now
        LOOP
            IF t.state = 5 THEN
                DELETE FROM {schema}.parked WHERE domain = p_domain AND id = t.id AND moved;
                CONTINUE WHEN NOT FOUND;
                PERFORM {schema}.free_keys(p_domain, t.id, false);
            ELSE
                DELETE FROM {schema}.dead WHERE domain = p_domain AND id = t.id;
                CONTINUE WHEN NOT FOUND;
            END IF;
            DELETE FROM {schema}.task WHERE domain = p_domain AND id = t.id;
        END LOOP;
        DELETE FROM {schema}.task WHERE ctid = ANY (tids) AND state = 4 AND gone <= now AND result IS NULL;
    END LOOP;
END $$;
