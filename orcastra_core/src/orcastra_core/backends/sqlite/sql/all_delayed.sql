SELECT task.num, task.state, task.due FROM delayed JOIN task ON task.num = delayed.num WHERE task.queue = ?1
UNION ALL
SELECT task.num, task.state, task.due FROM line JOIN task ON task.num = line.num WHERE line.queue = ?1 AND task.state = 2
