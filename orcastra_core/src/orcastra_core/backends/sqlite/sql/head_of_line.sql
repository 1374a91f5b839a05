SELECT task.num, task.state, task.due
FROM line JOIN task ON task.num = line.num
WHERE line.queue = ? AND line.key = ?
ORDER BY line.num
LIMIT 1
