DELETE FROM wish WHERE num IN (SELECT wish.num FROM wish LEFT JOIN task ON task.num = wish.num WHERE task.num IS NULL OR task.state <> 0)
