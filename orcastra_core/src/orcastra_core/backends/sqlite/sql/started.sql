DELETE FROM dedup
WHERE (queue, key) IN (SELECT queue, dedup FROM task WHERE num IN ({rows}) AND dedup_mode = 1)
AND id IN (SELECT task.id FROM task WHERE task.queue = dedup.queue AND task.dedup = dedup.key)
