DELETE FROM ready
WHERE (queue, level, pos) = (SELECT queue, level, coalesce(pos, num) FROM task WHERE num = ?1) AND num = ?1
