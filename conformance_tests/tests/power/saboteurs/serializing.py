"""Faults of serializers, and in what travels beside the body."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import attrs
import pytest

from orcastra_core.backends.memory.session_state import SessionState
from orcastra_core.backends.memory.store import Store
from orcastra_core.model.envelope import CBOR, NO_EXTRAS, Envelope
from orcastra_core.model.errors import SerializationError
from orcastra_core.model.settlement import Retry, Settled, Settlement
from orcastra_core.serialization.cbor import CborSerializer
from orcastra_core.serialization.json import JsonSerializer
from power.saboteur import saboteur
from power.spoiling import alive, change_answers, change_envelopes


def _rewritten(value: Any, kind: type, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, kind):
        return change(value)
    if isinstance(value, list):
        return [_rewritten(item, kind, change) for item in value]
    if isinstance(value, dict):
        return {key: _rewritten(item, kind, change) for key, item in value.items()}
    return value


def _write_after(patch: pytest.MonkeyPatch, kind: type, change: Callable[[Any], Any]) -> None:
    dumps = CborSerializer.dumps

    def changed(self: CborSerializer, value: Any, /) -> bytes:
        return dumps(self, _rewritten(value, kind, change))

    patch.setattr(CborSerializer, "dumps", changed)


@saboteur("floats-for-decimals", "writes decimals as floats", killed_by=("ser.universe",))
def _(patch: pytest.MonkeyPatch) -> None:
    _write_after(patch, Decimal, float)


@saboteur(
    "sets-as-they-come", "writes the members of a set in the order of its hash table", killed_by=("ser.deterministic",)
)
def _(patch: pytest.MonkeyPatch) -> None:
    _write_after(patch, set, list)


@saboteur("leaks-the-parser", "lets the errors of its parser through", killed_by=("ser.hostile",))
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(JsonSerializer, "loads", lambda self, data: json.loads(data))


@saboteur(
    "writes-anything",
    "writes a description of what it cannot write",
    killed_by=("ser.unserialisable", "ser.unwritable-result"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    dumps = CborSerializer.dumps

    def obliging(self: CborSerializer, value: Any, /) -> bytes:
        try:
            return dumps(self, value)
        except SerializationError:
            return dumps(self, repr(value))

    patch.setattr(CborSerializer, "dumps", obliging)


@saboteur("one-content-type", "stores every body as CBOR", killed_by=("ser.unknown-content-type",))
def _(patch: pytest.MonkeyPatch) -> None:
    change_envelopes(patch, lambda envelope: attrs.evolve(envelope, content_type=CBOR))


@saboteur(
    "retries-what-it-knows",
    "writes an envelope anew for its second attempt, without what it does not know",
    killed_by=("ser.forward-compatible",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    def change(store: Store, session: SessionState, item: Settlement, answer: Settled) -> Settled:
        entry = alive(store, item.delivery.envelope.id)
        if isinstance(item, Retry) and entry is not None and isinstance(entry.envelope, Envelope):
            entry.envelope = attrs.evolve(entry.envelope, extras=NO_EXTRAS)
        return answer

    change_answers(patch, change)
