SELECT EXISTS (SELECT 1 FROM {schema}.session WHERE num = $2) AS alive,
    ARRAY(SELECT id FROM {schema}.wish WHERE domain = $1) AS ids,
    least(
        (SELECT due FROM {schema}.delayed WHERE domain = $1 ORDER BY due LIMIT 1),
        (SELECT look FROM {schema}.schedule WHERE domain = $1 AND NOT paused ORDER BY look LIMIT 1)
    ) AS due
