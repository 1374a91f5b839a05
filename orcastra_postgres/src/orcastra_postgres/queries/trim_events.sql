-- Drop pieces that lie wholly before the last $2 records.
WITH k AS (
    SELECT x.xid, x.serial FROM (
        SELECT e.xid, e.serial, sum(e.n) OVER (ORDER BY e.xid DESC, e.serial DESC) - e.n AS after FROM {schema}.event e WHERE e.domain = $1
    ) x WHERE x.after >= $2 ORDER BY x.xid DESC, x.serial DESC LIMIT 1
), d AS (
    DELETE FROM {schema}.event e USING k WHERE e.domain = $1 AND (e.xid, e.serial) <= (k.xid, k.serial) RETURNING e.n
)
SELECT coalesce(sum(n), 0) FROM d
