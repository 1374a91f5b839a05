SELECT receipt, task.num, task.id, task.queue, task.attempt, task.lost, task.released
FROM running JOIN task ON task.num = {num}
WHERE running.session = ?
ORDER BY receipt
LIMIT ?
