SELECT task.queue, count(*) FROM running JOIN task ON task.num = {num} GROUP BY task.queue
