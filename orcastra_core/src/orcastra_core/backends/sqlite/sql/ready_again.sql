INSERT INTO ready (queue, level, pos, num, since)
SELECT queue, level, coalesce(pos, num), num, ? FROM task WHERE num IN ({rows})
