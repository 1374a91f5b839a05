-- Only if the stored one is still what was read before: $10, $11; null for none.
INSERT INTO {schema}.schedule AS s (domain, id, due, look, envelope, trigger, misfire, grace, paused)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (domain, id) DO UPDATE
SET due = excluded.due, look = excluded.look, envelope = excluded.envelope, trigger = excluded.trigger, misfire = excluded.misfire,
    grace = excluded.grace, paused = excluded.paused
WHERE s.due = $10 AND s.envelope = $11
RETURNING 1
