"""Orcastra: one task queue for Python, any broker underneath.

This distribution pins a matching set of Orcastra distributions and gives the core's public names a short home:
``from orcastra import Orcastra`` and ``from orcastra_core import Orcastra`` are the same class.
"""

from __future__ import annotations

import orcastra_core as _core
from orcastra_core import *  # noqa: F403 - the public names are the core's, whatever they are

__all__ = _core.__all__
