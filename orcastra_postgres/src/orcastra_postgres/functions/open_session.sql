-- Begin a session that may ask for these queues.
CREATE OR REPLACE FUNCTION {schema}.open_session(
    p_domain int, p_suffix text, p_lease double precision, p_process text, p_queues text[], p_slots int, OUT num bigint, OUT id text
) LANGUAGE plpgsql {pinned} AS $$
DECLARE
    name text;
BEGIN
    num := nextval('{schema}.session_num');
    id := num || '-' || p_suffix;
    FOREACH name IN ARRAY p_queues LOOP
        PERFORM {schema}.queue_num(p_domain, name);
    END LOOP;
    INSERT INTO {schema}.session (num, domain, id, lease, beat, process)
    VALUES (num, p_domain, id, p_lease, date_part('epoch', clock_timestamp()), p_process);
    INSERT INTO {schema}.reader (session, domain) VALUES (num, p_domain);
    INSERT INTO {schema}.settled (session, slot) SELECT num, s FROM generate_series(0, p_slots - 1) s;
END $$;
