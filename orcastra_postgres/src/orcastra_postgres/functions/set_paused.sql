-- Pause queues, or end that.
CREATE OR REPLACE FUNCTION {schema}.set_paused(p_domain int, p_queues text[], p_paused boolean) RETURNS void LANGUAGE plpgsql {pinned} AS $$
DECLARE
    name text;
    n int;
BEGIN
    FOR name IN SELECT DISTINCT x.name FROM unnest(p_queues) x(name) ORDER BY 1 LOOP
        n := {schema}.queue_num(p_domain, name);
        UPDATE {schema}.queue SET paused = p_paused WHERE num = n AND paused <> p_paused;
    END LOOP;
END $$;
