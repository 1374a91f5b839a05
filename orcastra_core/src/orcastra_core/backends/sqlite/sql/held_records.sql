SELECT queue.name, receipt, task.level, 0, attempt, lost, released, -1, length(envelope), task.id, envelope
FROM running
JOIN task ON task.num = {num}
JOIN queue ON queue.num = task.queue
WHERE running.session = ?
ORDER BY receipt
