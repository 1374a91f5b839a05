SELECT id, due, envelope, trigger, misfire, grace, paused FROM {schema}.schedule WHERE domain = $1 AND id > $2 ORDER BY id LIMIT $3
