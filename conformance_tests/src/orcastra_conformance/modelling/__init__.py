"""A queue in a page of code, and the machine that compares a broker with it."""
