-- One row for all: see statements.py. The second list has those of whom there is more to say.
SELECT
    '[' || group_concat(receipt || ',' || length(envelope)) || ']',
    '[' || group_concat(
        CASE WHEN attempt OR lost OR released OR mode = 1
        THEN '[' || receipt || ',' || attempt || ',' || lost || ',' || released || ',' || mode || ']' END
    ) || ']',
    CAST(group_concat(envelope, '') AS BLOB)
FROM (
    SELECT {receipt} AS receipt, attempt, lost, released, coalesce(dedup_mode, -1) AS mode, envelope
    FROM ready JOIN task ON task.num = ready.num
    WHERE ready.queue = (SELECT num FROM queue WHERE num = ?1 AND paused = 0)
    ORDER BY ready.level, ready.pos
    LIMIT ?2
)
