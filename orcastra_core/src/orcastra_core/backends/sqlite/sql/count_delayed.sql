-- and those behind an ordering key
SELECT queue, count(*) FROM (
    SELECT task.queue FROM delayed JOIN task ON task.num = delayed.num
    UNION ALL
    SELECT task.queue FROM line JOIN task ON task.num = line.num WHERE task.state = 2
)
GROUP BY queue
