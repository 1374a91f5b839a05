"""The commands: ``orcastra conformance`` and ``orcastra new``."""
