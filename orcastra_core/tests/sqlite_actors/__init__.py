"""Other processes for the tests of the SQLite broker, and what they and the tests publish and settle."""
