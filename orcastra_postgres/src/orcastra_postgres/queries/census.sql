WITH d AS (SELECT num FROM {schema}.domain WHERE name = $1),
q AS (SELECT num FROM {schema}.queue WHERE domain IN (SELECT num FROM d)),
l AS (SELECT num FROM {schema}.lane WHERE queue IN (SELECT num FROM q)),
s AS (SELECT num FROM {schema}.session WHERE domain IN (SELECT num FROM d))
SELECT CASE WHEN state = 4 AND (result IS NULL OR gone <= date_part('epoch', clock_timestamp())) THEN 'remembered' ELSE 'tasks' END AS kind,
    count(*) AS n
FROM {schema}.task WHERE domain IN (SELECT num FROM d) GROUP BY 1
UNION ALL SELECT 'ready', count(*) FROM {schema}.ready WHERE lane IN (SELECT num FROM l)
UNION ALL SELECT 'delayed', count(*) FROM {schema}.delayed WHERE domain IN (SELECT num FROM d)
UNION ALL SELECT 'running', count(*) FROM {schema}.running WHERE lane IN (SELECT num FROM l)
UNION ALL SELECT 'parked', count(*) FROM {schema}.parked WHERE domain IN (SELECT num FROM d)
UNION ALL SELECT 'lines', count(*) FROM {schema}.line WHERE queue IN (SELECT num FROM q)
UNION ALL SELECT 'dedup', count(*) FROM {schema}.dedup
    WHERE queue IN (SELECT num FROM q) AND (until IS NULL OR until > date_part('epoch', clock_timestamp()))
UNION ALL SELECT 'dead', count(*) FROM {schema}.dead WHERE domain IN (SELECT num FROM d)
UNION ALL SELECT 'sessions', count(*) FROM s
UNION ALL SELECT 'orphans', count(*) FROM {schema}.orphan WHERE domain IN (SELECT num FROM d)
UNION ALL SELECT 'readers', count(*) FROM {schema}.reader WHERE session IN (SELECT num FROM s)
UNION ALL SELECT 'settled', count(*) FROM {schema}.settled WHERE session IN (SELECT num FROM s)
UNION ALL SELECT 'wishes', count(*) FROM {schema}.wish WHERE domain IN (SELECT num FROM d)
UNION ALL SELECT 'schedules', count(*) FROM {schema}.schedule WHERE domain IN (SELECT num FROM d)
UNION ALL SELECT 'events', coalesce(sum(n), 0) FROM {schema}.event WHERE domain IN (SELECT num FROM d)
