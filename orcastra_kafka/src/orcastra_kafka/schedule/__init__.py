"""Schedules on a compacted topic: the log says what is due when, and in which order changes took effect."""
