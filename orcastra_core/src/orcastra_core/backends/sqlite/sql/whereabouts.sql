SELECT task.num, state, due, envelope, running.session, running.receipt
FROM task
LEFT JOIN (SELECT num AS session FROM session UNION ALL SELECT session FROM orphan) AS holder ON task.state = 0
LEFT JOIN running ON running.session = holder.session AND running.receipt = {receipt}
WHERE task.id = ?
ORDER BY running.session IS NULL
LIMIT 1
