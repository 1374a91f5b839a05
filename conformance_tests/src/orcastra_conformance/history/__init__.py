"""What happened in a case: records of every call, the lines that a report prints of them, and pure checkers of them."""
