-- Let the first in an ordering key's line go, if it waits for that.
CREATE OR REPLACE FUNCTION {schema}.let_next_go(p_domain int, p_queue int, p_okey bytea) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    head uuid;
    t record;
    now double precision := date_part('epoch', clock_timestamp());
BEGIN
    SELECT id INTO head FROM {schema}.line WHERE queue = p_queue AND okey = p_okey ORDER BY place LIMIT 1;
    IF head IS NULL THEN
        RETURN;
    END IF;
    DELETE FROM {schema}.parked WHERE domain = p_domain AND id = head AND NOT moved;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    UPDATE {schema}.task SET state = (due > now IS TRUE)::int, due = CASE WHEN due > now THEN due END
    WHERE domain = p_domain AND id = head RETURNING lane, place, due INTO t;
    IF t.due IS NOT NULL THEN
        INSERT INTO {schema}.delayed (domain, due, place, id, lane) VALUES (p_domain, t.due, t.place, head, t.lane);
    ELSE
        PERFORM {schema}.put_back(t.lane, t.place, head);
    END IF;
END $$;
