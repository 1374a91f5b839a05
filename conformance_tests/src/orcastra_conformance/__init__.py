"""The conformance suite that every Orcastra backend has to pass. This release reserves its name and holds no cases."""

from __future__ import annotations

__all__: list[str] = []
