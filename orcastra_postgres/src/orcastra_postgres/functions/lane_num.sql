-- The number of a lane, which is made, like its queue, if there is none.
CREATE OR REPLACE FUNCTION {schema}.lane_num(p_domain int, p_queue text, p_level smallint) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    q int;
    n int;
BEGIN
    SELECT l.num INTO n FROM {schema}.queue q2 JOIN {schema}.lane l ON l.queue = q2.num
    WHERE q2.domain = p_domain AND q2.name = p_queue AND l.level = p_level;
    IF n IS NULL THEN
        q := {schema}.queue_num(p_domain, p_queue);
        INSERT INTO {schema}.lane (queue, level) VALUES (q, p_level) ON CONFLICT DO NOTHING;
        SELECT num INTO n FROM {schema}.lane WHERE queue = q AND level = p_level;
    END IF;
    RETURN n;
END $$;
