-- The number of a queue, which is made if there is none.
CREATE OR REPLACE FUNCTION {schema}.queue_num(p_domain int, p_name text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    n int;
BEGIN
    SELECT num INTO n FROM {schema}.queue WHERE domain = p_domain AND name = p_name;
    IF n IS NULL THEN
        INSERT INTO {schema}.queue (domain, name) VALUES (p_domain, p_name) ON CONFLICT DO NOTHING;
        SELECT num INTO n FROM {schema}.queue WHERE domain = p_domain AND name = p_name;
    END IF;
    RETURN n;
END $$;
