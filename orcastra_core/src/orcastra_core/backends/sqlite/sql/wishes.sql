SELECT task.id, wish.serial
FROM wish JOIN task ON task.num = wish.num
WHERE EXISTS (SELECT 1 FROM running WHERE running.session = ? AND running.receipt = {receipt})
