"""The command line: one module a command, found by the entry points ``orcastra.commands``."""
