SELECT task.id, task.state, task.result, CASE task.state WHEN 3 THEN dead.expires ELSE task.gone END
FROM task LEFT JOIN dead ON dead.id = task.id AND task.state = 3
WHERE task.id IN ({rows})
