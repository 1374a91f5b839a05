"""What a broker answers to a publish."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from orcastra_core.model.errors import BrokerError
from orcastra_core.model.ids import TaskId


@attrs.frozen
class Stored:
    """It is stored, as durably as ``Profile.durability`` says."""


@attrs.frozen
class Duplicate:
    """Nothing was stored: ``id`` holds the dedup key, or is this very envelope, stored before."""

    id: TaskId


@attrs.frozen
class Refused:
    """Nothing was stored and a repeat will get the same answer. ``why`` is for people."""

    why: str


@attrs.frozen
class Unknown:
    """No answer came. It may be stored; a repeat with the same id is harmless."""

    error: BrokerError


Published: TypeAlias = Stored | Duplicate | Refused | Unknown
STORED = Stored()
