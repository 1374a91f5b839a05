SELECT queue.name, receipt, task.level, 0, attempt, lost, released, -1, length(envelope), task.id, envelope
FROM running
JOIN task ON task.num = ((receipt >> 1) & 35184372088831)
JOIN queue ON queue.num = task.queue
WHERE running.session = ?
ORDER BY receipt
