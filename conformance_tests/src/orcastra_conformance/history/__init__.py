"""What happened in a case, and pure functions that judge it."""
