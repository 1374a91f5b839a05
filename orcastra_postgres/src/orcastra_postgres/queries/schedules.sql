SELECT id, due, envelope, trigger, misfire, grace, paused, look FROM {schema}.schedule WHERE domain = $1 AND id = ANY ($2::text[])
