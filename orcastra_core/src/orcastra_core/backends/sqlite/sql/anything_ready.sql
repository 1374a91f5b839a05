SELECT 1 FROM ready WHERE queue = (SELECT num FROM queue WHERE name = ? AND paused = 0) LIMIT 1
