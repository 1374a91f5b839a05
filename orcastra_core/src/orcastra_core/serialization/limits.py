"""Bounds that hold in both directions: what is written can be read again."""

from __future__ import annotations

from typing import Final

MAX_DEPTH: Final = 100
"""Containers may be nested this deep."""

MAX_WEAK_KEYS: Final = 16384
"""Members of one set, or keys of one map that are neither text nor bytes.

Python's hashes of those are not keyed by a secret, so hostile bytes could choose
them to collide; the bound keeps the damage small.
"""

MAX_DIGITS: Final = 4300
"""Digits of a decimal number."""

MAX_EXPONENT: Final = 10000
"""Largest exponent of a decimal number, either way."""
