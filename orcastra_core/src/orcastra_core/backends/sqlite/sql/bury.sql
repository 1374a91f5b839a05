INSERT OR REPLACE INTO dead (id, num, queue, at, reason, error, expires)
SELECT id, num, queue, ?1, ?2, ?3, ?4 FROM task WHERE num = ?5
