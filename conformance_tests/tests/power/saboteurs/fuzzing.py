"""Faults that chance finds."""

from __future__ import annotations

import unicodedata
from typing import Any

import attrs
import pytest

from orcastra_core.model.envelope import Envelope
from orcastra_core.model.names import QueueName
from power.saboteur import saboteur
from power.spoiling import change_envelopes


def _in_doubles(value: Any) -> Any:
    if type(value) is int:
        return int(float(value))
    if isinstance(value, list):
        return [_in_doubles(item) for item in value]
    if isinstance(value, dict):
        return {key: _in_doubles(item) for key, item in value.items()}
    return value


@saboteur("counts-in-doubles", "keeps the numbers in headers as JavaScript does", killed_by=("fuzz.payload",))
def _(patch: pytest.MonkeyPatch) -> None:
    change_envelopes(patch, lambda envelope: attrs.evolve(envelope, headers=_in_doubles(dict(envelope.headers))))


@saboteur("composes-names", "normalises names, so that two ways to write a letter are one", killed_by=("fuzz.names",))
def _(patch: pytest.MonkeyPatch) -> None:
    def change(envelope: Envelope) -> Envelope:
        return attrs.evolve(envelope, queue=QueueName(unicodedata.normalize("NFC", envelope.queue)))

    change_envelopes(patch, change)
