SELECT dead.id, queue.name, task.envelope, task.attempt, task.lost, task.released, dead.reason, dead.error, dead.at
FROM dead
JOIN task ON task.num = dead.num
JOIN queue ON queue.num = dead.queue
