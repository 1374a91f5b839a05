-- Keep others from the keys of these queues until the transaction ends: always in one order, so that nobody waits in a circle.
-- A thousand locks stand for all keys; more would be more than the server has room for.
CREATE OR REPLACE FUNCTION {schema}.lock_keys(p_queues int[], p_keys bytea[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    kind int := '{schema}.line'::regclass::oid::bigint::bit(32)::int;
    stripe int;
BEGIN
    FOR stripe IN
        SELECT DISTINCT ('x' || substr(md5(int4send(x.queue) || x.key), 1, 8))::bit(32)::int & 1023 AS n
        FROM unnest(p_queues, p_keys) x(queue, key) WHERE x.key IS NOT NULL
        ORDER BY n
    LOOP
        PERFORM pg_advisory_xact_lock(kind, stripe);
    END LOOP;
END $$;
