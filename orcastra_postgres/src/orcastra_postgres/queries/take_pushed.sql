WITH d AS (DELETE FROM {schema}.pushed WHERE domain = $1 AND channel = $2 RETURNING serial, result)
SELECT result FROM d ORDER BY serial
