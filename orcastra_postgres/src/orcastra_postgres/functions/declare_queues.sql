-- Make queues known.
CREATE OR REPLACE FUNCTION {schema}.declare_queues(p_domain int, p_queues text[], p_most int[]) RETURNS void LANGUAGE plpgsql {pinned} AS $$
DECLARE
    q record;
    n int;
BEGIN
    FOR q IN SELECT DISTINCT ON (x.name) x.name, x.most FROM unnest(p_queues, p_most) x(name, most) ORDER BY x.name LOOP
        n := {schema}.queue_num(p_domain, q.name);
        UPDATE {schema}.queue SET max_lost = q.most WHERE num = n AND max_lost <> q.most;
    END LOOP;
END $$;
