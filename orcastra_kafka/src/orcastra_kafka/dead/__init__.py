"""Dead letters: a compacted topic of them, by the ids of their tasks, and what takes them away again."""
