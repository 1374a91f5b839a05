-- Tell of every session how long it has been silent, and whether there is proof that it is dead: it held its advisory lock, the
-- lock is free now, and the server has been up for longer than its lease (a restart frees all locks).
-- A session that was reaped, and some of whose deliveries are still to be handed out again, has no lease.
CREATE OR REPLACE FUNCTION {schema}.survey(p_domain int)
RETURNS TABLE (num bigint, id text, lease double precision, silent double precision, dropped boolean, process text)
LANGUAGE plpgsql {pinned} AS $$
DECLARE
    now double precision := date_part('epoch', clock_timestamp());
    started double precision := date_part('epoch', pg_postmaster_start_time());
    kind oid := '{schema}.session'::regclass::oid;
    held bigint[];
BEGIN
    IF EXISTS (SELECT 1 FROM {schema}.session s WHERE s.domain = p_domain AND s.locked) THEN
        held := ARRAY(
            SELECT l.objid::bigint FROM pg_locks l
            WHERE l.locktype = 'advisory' AND l.classid = kind AND l.objsubid = 2 AND l.granted
                AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
        );
    END IF;
    RETURN QUERY
    SELECT s.num, s.id, s.lease, now - s.beat,
        s.locked AND (s.num & 4294967295) <> ALL (held) AND now - started > s.lease, s.process
    FROM {schema}.session s WHERE s.domain = p_domain
    UNION ALL
    SELECT o.session, o.id, NULL, NULL, false, '' FROM {schema}.orphan o WHERE o.domain = p_domain;
END $$;
