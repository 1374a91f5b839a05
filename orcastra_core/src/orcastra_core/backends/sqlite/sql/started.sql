DELETE FROM dedup
WHERE (queue, key, id) IN (SELECT queue, dedup, id FROM task WHERE num IN ({rows}) AND dedup_mode = 1)
