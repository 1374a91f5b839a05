SELECT task.num, task.state, task.due FROM ready JOIN task ON task.num = ready.num WHERE ready.queue = ?
