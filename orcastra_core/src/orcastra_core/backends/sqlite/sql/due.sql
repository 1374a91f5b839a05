SELECT delayed.due, delayed.num, task.queue
FROM delayed JOIN task ON task.num = delayed.num
WHERE delayed.due <= ?
ORDER BY delayed.due, delayed.num
LIMIT ?
