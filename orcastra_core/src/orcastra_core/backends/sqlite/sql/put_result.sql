INSERT INTO task (num, id, queue, state, result, gone)
VALUES (?, ?, 0, ?, ?, ?)
ON CONFLICT (id) DO NOTHING
