-- Replace a result, if it is still the one that was read.
CREATE OR REPLACE FUNCTION {schema}.replace_result(p_domain int, p_id uuid, p_before bytea, p_result bytea, p_ttl double precision)
RETURNS boolean LANGUAGE plpgsql {pinned} AS $$
DECLARE
    now double precision := date_part('epoch', clock_timestamp());
BEGIN
    UPDATE {schema}.task SET result = p_result, gone = now + p_ttl
    WHERE domain = p_domain AND id = p_id AND state = 4 AND result = p_before;
    IF FOUND THEN
        INSERT INTO {schema}.fading (at, domain, ids) VALUES (now + p_ttl, p_domain, ARRAY[p_id]);
        RETURN true;
    END IF;
    RETURN false;
END $$;
