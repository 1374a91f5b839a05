WITH d AS (
    DELETE FROM {schema}.dedup WHERE ctid = ANY (ARRAY(
        SELECT x.ctid FROM {schema}.dedup x WHERE x.until <= date_part('epoch', clock_timestamp()) LIMIT 2000 FOR UPDATE SKIP LOCKED))
), w AS (
    DELETE FROM {schema}.wish w WHERE w.domain = $1
        AND NOT EXISTS (SELECT 1 FROM {schema}.task t WHERE t.domain = w.domain AND t.id = w.id AND t.state NOT IN (3, 4))
), p AS (
    DELETE FROM {schema}.pushed WHERE domain = $1 AND at < date_part('epoch', clock_timestamp()) - 60
), s AS (
    DELETE FROM {schema}.settled k WHERE k.ctid = ANY (ARRAY(
        SELECT x.ctid FROM {schema}.settled x
        WHERE NOT EXISTS (SELECT 1 FROM {schema}.session s WHERE s.num = x.session) LIMIT 2000 FOR UPDATE SKIP LOCKED))
)
SELECT 1
