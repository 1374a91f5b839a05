INSERT INTO ready (queue, level, pos, num, since)
SELECT queue, level, coalesce(pos, num), num, ?1 FROM task WHERE num = ?2
