-- $3 seconds; 0: only read them.
WITH x AS (
    SELECT s.ctid FROM {schema}.schedule s
    WHERE s.domain = $1 AND NOT s.paused AND s.look <= date_part('epoch', clock_timestamp())
    ORDER BY s.due, s.id LIMIT $2 FOR UPDATE SKIP LOCKED
)
UPDATE {schema}.schedule s
SET look = CASE WHEN $3::double precision > 0 THEN date_part('epoch', clock_timestamp()) + $3 ELSE s.look END
FROM x WHERE s.ctid = x.ctid
RETURNING s.id, s.due, s.envelope, s.trigger, s.misfire, s.grace, s.paused
