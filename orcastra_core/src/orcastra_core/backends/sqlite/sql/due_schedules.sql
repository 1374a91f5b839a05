SELECT id, due, envelope, trigger, misfire, grace, paused
FROM schedule
WHERE paused = 0 AND look <= ?
ORDER BY due, id
LIMIT ?
