INSERT OR REPLACE INTO schedule (id, due, look, envelope, trigger, misfire, grace, paused)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
