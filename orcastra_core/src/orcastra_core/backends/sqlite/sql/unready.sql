DELETE FROM ready
WHERE queue = ?1 AND (level, pos) <= (
    SELECT level, pos FROM ready WHERE queue = ?1 ORDER BY level, pos LIMIT 1 OFFSET ?2
)
