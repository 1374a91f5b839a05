INSERT INTO task (num, id, queue, level, state, attempt, lost, released, due, envelope)
VALUES {rows}
ON CONFLICT (id) DO NOTHING
