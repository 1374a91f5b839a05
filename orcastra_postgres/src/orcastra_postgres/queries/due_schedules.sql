SELECT id, due, envelope, trigger, misfire, grace, paused FROM {schema}.schedule
WHERE domain = $1 AND NOT paused AND look <= date_part('epoch', clock_timestamp())
ORDER BY due, id
LIMIT $2
