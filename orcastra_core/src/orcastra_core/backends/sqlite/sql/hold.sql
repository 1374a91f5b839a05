INSERT INTO running (session, receipt)
SELECT ?1, {receipt}
FROM ready JOIN task ON task.num = ready.num
WHERE ready.queue = ?2
ORDER BY ready.level, ready.pos
LIMIT ?3
