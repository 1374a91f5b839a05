DELETE FROM running WHERE session = ? AND receipt IN ({rows})
