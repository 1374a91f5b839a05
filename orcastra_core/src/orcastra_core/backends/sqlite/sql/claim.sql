-- One row for all: see statements.py. Ids are hexadecimal digits and hyphens, so that they need no escapes in JSON.
SELECT
    '[' || group_concat(
        '[' || receipt || ',' || level || ',' || pos || ',' || attempt || ',' || lost || ',' || released || ','
        || mode || ',' || length(envelope) || ',"' || id || '"]'
    ) || ']',
    CAST(group_concat(envelope, '') AS BLOB)
FROM (
    SELECT
        {receipt} AS receipt, ready.level, ready.pos, attempt, lost, released,
        coalesce(dedup_mode, -1) AS mode, envelope, id
    FROM ready JOIN task ON task.num = ready.num
    WHERE ready.queue = (SELECT num FROM queue WHERE num = ?1 AND paused = 0)
    ORDER BY ready.level, ready.pos
    LIMIT ?2
)
