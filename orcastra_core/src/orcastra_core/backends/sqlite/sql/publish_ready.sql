INSERT INTO ready (queue, level, pos, num, since)
SELECT queue, level, num, num, ?1 FROM task WHERE num BETWEEN ?2 AND ?3 AND state = 0
