INSERT INTO task (num, id, queue, level, envelope)
VALUES {rows}
ON CONFLICT (id) DO NOTHING
