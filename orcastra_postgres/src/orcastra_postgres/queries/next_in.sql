SELECT min(x.due) - date_part('epoch', clock_timestamp()), date_part('epoch', clock_timestamp()) FROM (
    (SELECT due FROM {schema}.delayed WHERE domain = $1 ORDER BY due LIMIT 1)
    UNION ALL
    (SELECT look FROM {schema}.schedule WHERE domain = $1 AND NOT paused ORDER BY look LIMIT 1)
) x
