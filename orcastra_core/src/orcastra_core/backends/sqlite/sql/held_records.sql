SELECT queue.name, receipt, attempt, lost, released, envelope
FROM running
JOIN task ON task.num = {num}
JOIN queue ON queue.num = task.queue
WHERE running.session = ?
ORDER BY receipt
