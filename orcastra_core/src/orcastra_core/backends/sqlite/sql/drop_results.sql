UPDATE task SET result = NULL, gone = ? WHERE num IN ({rows})
