SELECT state, due, attempt, lost, released, envelope, queue.name, CASE WHEN running.session IS NULL THEN NULL ELSE holder.id END
FROM task
JOIN queue ON queue.num = task.queue
LEFT JOIN (SELECT num AS session, id FROM session UNION ALL SELECT session, id FROM orphan) AS holder ON task.state = 0
LEFT JOIN running ON running.session = holder.session AND running.receipt = {receipt}
WHERE task.id = ?
ORDER BY running.session IS NULL
LIMIT 1
