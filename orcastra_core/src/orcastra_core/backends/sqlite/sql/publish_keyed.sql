INSERT INTO task (num, id, queue, level, state, attempt, lost, released, due, dedup, dedup_mode, okey, envelope)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
