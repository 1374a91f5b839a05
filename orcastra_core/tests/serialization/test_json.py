"""The JSON serializer: the same values, in a form that people read."""

from __future__ import annotations

import datetime as dt
import enum
import json
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orcastra_core.model.errors import SerializationError
from orcastra_core.serialization.cbor import CborSerializer
from orcastra_core.serialization.json import JsonSerializer

CBOR, JSON = CborSerializer(), JsonSerializer()
bounded = settings(max_examples=200, deadline=None, derandomize=True)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(["$", "$set", "$$set", "$x"])
leaves: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
    | st.binary(max_size=20)
    | st.datetimes(timezones=st.just(dt.UTC))
    | st.dates()
    | st.timedeltas()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.uuids()
)
hashables = st.recursive(leaves, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=4)
values = st.recursive(
    leaves | st.sets(hashables, max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts | hashables, inner, max_size=4),
    max_leaves=15,
)


class Big(int):
    """One that pytest may write into a test's name."""

    def __str__(self) -> str:
        return "big"


class Colour(enum.StrEnum):
    RED = "red"


@bounded
@given(values)
def test_what_was_written_is_read(value: Any) -> None:
    written = JSON.dumps(value)
    assert JSON.loads(written) == value
    assert JSON.dumps(JSON.loads(written)) == written
    json.loads(written, parse_constant=pytest.fail)  # JSON by anybody's reading


@bounded
@given(values)
def test_both_serializers_give_the_same_value(value: Any) -> None:
    assert JSON.loads(JSON.dumps(value)) == CBOR.loads(CBOR.dumps(value))


@pytest.mark.parametrize(
    "value, text",
    [
        ({"b": 1, "a": [1.0, True, None]}, '{"b":1,"a":[1.0,true,null]}'),
        ("Grüße\n", '"Grüße\\n"'),
        ({"$set": 1}, '{"$$set":1}'),
        ({"$$set": 1}, '{"$$$set":1}'),
        ({"$set": 1, "b": 2}, '{"$set":1,"b":2}'),
        (2**53 - 1, "9007199254740991"),
        (-(2**53), '{"$int":"-9007199254740992"}'),
        ({10, 9}, '{"$set":[10,9]}'),  # by their text
        (Colour.RED, '"red"'),
        ({Colour.RED: 1}, '{"$map":[["red",1]]}'),
        (Decimal("-0.00"), '{"$decimal":"-0.00"}'),
        ((1, 2), "[1,2]"),
    ],
)
def test_the_text(value: Any, text: str) -> None:
    assert JSON.dumps(value).decode() == text


@pytest.mark.parametrize(
    "value, message",
    [
        ([math.nan], "value[0]: nan has no JSON form; send None instead"),
        ({"a": -math.inf}, "value['a']: -inf has no JSON form"),
        ({"when": [dt.datetime(2026, 1, 1)]}, "value['when'][0]: naive datetime 2026-01-01T00:00:00"),
        ({1: {2: object()}}, "value[1][2]: a object cannot be serialized"),
        ({object: 1}, "value[a type] as a key: a type cannot be serialized"),
        ([{object}], "value[0]{a type}: a type cannot be serialized"),
        ("\ud800", "value: text with lone surrogates"),
        (Decimal("sNaN"), "value: Decimal sNaN is not a number"),
        (Big(10**4300), "value: an int of more than 4300 digits"),
        ({Colour.RED: 1, 7: 2, "red!": 3, object: 4}, "value[a type] as a key: a type cannot be serialized"),
    ],
)
def test_refusals_say_where_and_why(value: Any, message: str) -> None:
    with pytest.raises(SerializationError) as refused:
        JSON.dumps(value)
    assert str(refused.value).startswith(message)


def test_depth() -> None:
    value: Any = 1
    for _ in range(100):
        value = [value]
    assert JSON.loads(JSON.dumps(value)) == value
    with pytest.raises(SerializationError, match="nested more than 100 deep"):
        JSON.dumps({"a": value})


def test_cycles_are_refused() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    with pytest.raises(SerializationError, match="inside itself"):
        JSON.dumps(cycle)
