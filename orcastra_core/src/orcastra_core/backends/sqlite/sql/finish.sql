UPDATE task SET state = 4, envelope = NULL, due = NULL, result = ended.column2, gone = ended.column3
FROM (VALUES {rows}) AS ended
WHERE task.num = ended.column1
