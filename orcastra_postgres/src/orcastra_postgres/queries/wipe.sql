DO $do$
DECLARE
    d int := (SELECT num FROM {schema}.domain WHERE name = '{domain}');
    queues int[] := ARRAY(SELECT num FROM {schema}.queue WHERE domain = d);
    lanes int[] := ARRAY(SELECT num FROM {schema}.lane WHERE queue = ANY (queues));
    sessions bigint[] := ARRAY(
        SELECT num FROM {schema}.session WHERE domain = d UNION ALL SELECT session FROM {schema}.orphan WHERE domain = d);
BEGIN
    DELETE FROM {schema}.session WHERE domain = d;
    DELETE FROM {schema}.reader WHERE session = ANY (sessions);
    DELETE FROM {schema}.settled WHERE session = ANY (sessions);
    DELETE FROM {schema}.running WHERE session = ANY (sessions);
    DELETE FROM {schema}.orphan WHERE domain = d;
    DELETE FROM {schema}.ready WHERE lane = ANY (lanes);
    DELETE FROM {schema}.delayed WHERE domain = d;
    DELETE FROM {schema}.parked WHERE domain = d;
    DELETE FROM {schema}.line WHERE queue = ANY (queues);
    DELETE FROM {schema}.dedup WHERE queue = ANY (queues);
    DELETE FROM {schema}.dead WHERE domain = d;
    DELETE FROM {schema}.fading WHERE domain = d;
    DELETE FROM {schema}.wish WHERE domain = d;
    DELETE FROM {schema}.pushed WHERE domain = d;
    DELETE FROM {schema}.event WHERE domain = d;
    DELETE FROM {schema}.schedule WHERE domain = d;
    DELETE FROM {schema}.task WHERE domain = d;
    DELETE FROM {schema}.lane WHERE queue = ANY (queues);
    DELETE FROM {schema}.queue WHERE domain = d;
    DELETE FROM {schema}.domain WHERE num = d;
END $do$
