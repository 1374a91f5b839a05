SELECT queue, count(*), min(since) FROM ready GROUP BY queue
