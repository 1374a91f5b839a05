"""The cases, a module a group. Nothing here names a backend."""
