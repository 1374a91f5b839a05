INSERT INTO wish (num, serial) VALUES (?, 1) ON CONFLICT (num) DO UPDATE SET serial = serial + 1
