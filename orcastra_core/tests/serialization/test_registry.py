"""Serializers by content type."""

from __future__ import annotations

from typing import Any

import pytest

from orcastra_core.interfaces.serializer import Serializer
from orcastra_core.model.errors import UnknownContentType
from orcastra_core.serialization.cbor import CborSerializer
from orcastra_core.serialization.json import JsonSerializer
from orcastra_core.serialization.registry import SerializerRegistry


class OtherJson:
    content_type = "application/json"

    def dumps(self, value: Any, /) -> bytes:
        return b"null"

    def loads(self, data: bytes, /) -> Any:
        return None


def test_finds_by_content_type_and_the_first_wins() -> None:
    cbor, json, other = CborSerializer(), JsonSerializer(), OtherJson()
    registry = SerializerRegistry([cbor, json, other])
    assert registry("application/cbor") is cbor
    assert registry("application/json") is json
    assert SerializerRegistry([other, json])("application/json") is other


def test_an_unknown_content_type_names_the_known_ones() -> None:
    registry = SerializerRegistry([JsonSerializer(), CborSerializer()])
    with pytest.raises(UnknownContentType, match=r"'application/x-yaml' \(known: application/cbor, application/json\)"):
        registry("application/x-yaml")


def test_ours_are_serializers() -> None:
    assert isinstance(CborSerializer(), Serializer)
    assert isinstance(JsonSerializer(), Serializer)
