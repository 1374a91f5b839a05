UPDATE task
SET num = ?, state = ?, due = ?, dedup = ?, dedup_mode = ?, okey = ?, pos = NULL,
    attempt = 0, lost = 0, released = 0, result = NULL, gone = NULL
WHERE num = ?
