SELECT min(due) FROM (
    SELECT due FROM (SELECT due FROM delayed ORDER BY due LIMIT 1)
    UNION ALL
    SELECT look FROM (SELECT look FROM schedule WHERE paused = 0 ORDER BY look LIMIT 1)
)
