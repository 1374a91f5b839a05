"""What the default serializer holds, refuses and promises."""

from __future__ import annotations

import collections
import datetime as dt
import enum
import math
import os
import subprocess
import sys
import uuid
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orcastra_core.model.errors import SerializationError
from orcastra_core.serialization.cbor import CborSerializer
from orcastra_core.serialization.cbor_decode import decode

CBOR = CborSerializer()
bounded = settings(max_examples=200, deadline=None, derandomize=True)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
naturals: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts | st.binary(max_size=40)
)
zones = st.timezones() | st.just(dt.UTC)
decimals = st.decimals(allow_nan=False, allow_infinity=False).filter(lambda d: not (d.is_zero() and d.is_signed()))
rich: st.SearchStrategy[Any] = (
    st.datetimes(timezones=zones, min_value=dt.datetime(1, 1, 3), max_value=dt.datetime(9999, 12, 28))
    | st.dates()
    | st.timedeltas()
    | decimals
    | st.uuids()
)
hashables = st.recursive(
    naturals | rich, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=5
)
values = st.recursive(
    naturals | rich | st.sets(hashables, max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts | hashables, inner, max_size=5),
    max_leaves=20,
)


class Colour(enum.Enum):
    RED = "red"


class Size(enum.IntEnum):
    SMALL = 1


def same(left: Any, right: Any) -> Any:
    """Equal, of the same types all the way down, floats to the bit; a frozenset may have become a set."""
    if isinstance(left, (set, frozenset)):
        return isinstance(right, (set, frozenset)) and left == right
    if type(left) is not type(right):
        return False
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return same(list(left), list(right)) and same(list(left.values()), list(right.values()))
    if isinstance(left, float):
        return left == right and math.copysign(1, left) == math.copysign(1, right)
    if isinstance(left, dt.datetime):  # in UTC: a time that comes twice never equals one of another zone
        offset = left.utcoffset()
        whole = offset is not None and offset.seconds % 60 == 0
        return left.astimezone(dt.UTC) == right.astimezone(dt.UTC) and (not whole or offset == right.utcoffset())
    if isinstance(left, Decimal):
        return left.as_tuple() == right.as_tuple()
    return bool(left == right)


@bounded
@given(values)
def test_what_was_written_is_read(value: Any) -> None:
    written = CBOR.dumps(value)
    assert same(value, CBOR.loads(written))
    assert same(value, decode(written))  # the rule itself, not only cbor2's short cut
    assert CBOR.dumps(CBOR.loads(written)) == written


@bounded
@given(st.recursive(naturals, lambda i: st.lists(i, max_size=4) | st.dictionaries(texts, i, max_size=4), max_leaves=15))
def test_plain_values_have_the_bytes_that_cbor2_writes(value: Any) -> None:
    if not has_infinity(value):  # cbor2 writes those with 16 bits
        assert CBOR.dumps(value) == cbor2.dumps(value)


def has_infinity(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(has_infinity, value.values()))
    return any(map(has_infinity, value)) if isinstance(value, list) else isinstance(value, float) and math.isinf(value)


@bounded
@given(values)
def test_another_reader_understands_it(value: Any) -> None:
    cbor2.loads(CBOR.dumps(value))


BERLIN = ZoneInfo("Europe/Berlin")
CET = dt.timezone(dt.timedelta(hours=1))


@pytest.mark.parametrize(
    "value, loaded",
    [
        ((1, (2, 3)), [1, [2, 3]]),
        ({(1, 2): "a"}, {(1, 2): "a"}),
        ({(1, (2,))}, {(1, (2,))}),
        (frozenset({1}), {1}),
        ({frozenset({1})}, {frozenset({1})}),
        (bytearray(b"x"), b"x"),
        (Colour.RED, "red"),
        (Size.SMALL, 1),
        ({Colour.RED: Size.SMALL}, {"red": 1}),
        (collections.OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        (collections.defaultdict(list, a=[1]), {"a": [1]}),
        (-0.0, -0.0),
        (math.inf, math.inf),
        (2**4000, 2**4000),
        (-(2**4000), -(2**4000)),
        (Decimal(10**2000), Decimal(10**2000)),
        (Decimal("-0.00"), Decimal("0.00")),
        (Decimal("1E+10000"), Decimal("1E+10000")),
        (dt.timedelta.max, dt.timedelta.max),
        (dt.timedelta.min, dt.timedelta.min),
        (dt.datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=BERLIN), dt.datetime(2026, 10, 25, 2, 30, tzinfo=CET)),
        (dt.datetime(1890, 1, 1, tzinfo=BERLIN), dt.datetime(1889, 12, 31, 23, 6, 32, tzinfo=dt.UTC)),
    ],
)
def test_how_values_come_back(value: Any, loaded: Any) -> None:
    for read in (CBOR.loads, decode):
        found = read(CBOR.dumps(value))
        assert type(found) is type(loaded)
        assert same(loaded, found)


def test_nan_stays_a_float() -> None:
    assert math.isnan(CBOR.loads(CBOR.dumps(math.nan)))


class Unknown:
    pass


@pytest.mark.parametrize(
    "value, message",
    [
        (dt.datetime(2026, 1, 1), "value: naive datetime 2026-01-01T00:00:00: give it a time zone"),
        ({"a": [1, {"when": dt.datetime(2026, 1, 1)}]}, "value['a'][1]['when']: naive datetime"),
        ([Unknown()], f"value[0]: a {__name__}.Unknown cannot be serialized"),
        ([1, {2: {3, Unknown}}], "value[1][2]{a type}: a type cannot be serialized"),
        ({Unknown: 1}, "value[a type] as a key: a type cannot be serialized"),
        (range(3), "value: a range cannot be serialized"),
        (iter([]), "value: a list_iterator cannot be serialized"),
        (1j, "value: a complex cannot be serialized"),
        (cbor2.CBORTag(35, "a"), "value: a cbor2.CBORTag cannot be serialized"),
        (Decimal("NaN"), "value: Decimal NaN is not a number; send None instead"),
        (Decimal("-Infinity"), "value: Decimal -Infinity is not a number"),
        (Decimal("1E+10001"), "value: a Decimal may have 4300 digits and an exponent within ±10000"),
        (["\ud800"], "value[0]: text with lone surrogates is not valid Unicode"),
        ({"\ud800": 1}, "value['\\ud800']: text with lone surrogates is not valid Unicode"),
        ({"red": 1, Colour.RED: 2}, "value: two keys are written as 'red'"),
        ({"red", Colour.RED}, "value: two members of a set are written alike"),
        (set(range(16385)), "value: a set of 16385 members is too large (at most 16384); use a list"),
        (dict.fromkeys(range(16385)), "value: a dict with 16385 keys that are not text is too large"),
        ({"x" * 99: Unknown()}, f"value['{'x' * 40}'…]: a"),
    ],
)
def test_refusals_say_where_and_why(value: Any, message: str) -> None:
    with pytest.raises(SerializationError) as refused:
        CBOR.dumps(value)
    assert str(refused.value).startswith(message)


def nested(depth: int, innermost: Any, wrap: Any = lambda inner: [inner]) -> Any:
    value = innermost
    for _ in range(depth):
        value = wrap(value)
    return value


@pytest.mark.parametrize(
    "innermost",
    [1, "a", dt.datetime(2026, 1, 1, tzinfo=dt.UTC), Decimal("1.5"), 2**99, uuid.UUID(int=1), dt.timedelta(1)],
)
@pytest.mark.parametrize("wrap, each", [(lambda v: [v], 1), (lambda v: {"a": v}, 1), (lambda v: (frozenset({v}),), 2)])
def test_a_hundred_levels_pass_and_one_more_does_not(innermost: Any, wrap: Any, each: int) -> None:
    value = nested(100 // each, innermost, wrap)
    assert CBOR.dumps(CBOR.loads(CBOR.dumps(value))) == CBOR.dumps(value)
    with pytest.raises(SerializationError, match="nested more than 100 deep, or inside itself"):
        CBOR.dumps([value])


def test_a_million_levels_and_cycles_are_refused_not_fatal() -> None:
    cycle: dict[str, Any] = {}
    cycle["self"] = [cycle]
    for value in (nested(1_000_000, 1), cycle):
        with pytest.raises(SerializationError, match="nested more than 100 deep"):
            CBOR.dumps(value)


PROGRAM = """
import datetime, decimal, uuid
from orcastra_core.serialization.cbor import CborSerializer
from orcastra_core.serialization.json import JsonSerializer
value = {"tags": {"alpha", "beta", "gamma", "delta", b"raw", 1, 2.5, None, (1, "x"), frozenset({"p", "q", "r"})},
         "more": [{"x", "y", "z"}, frozenset({uuid.UUID(int=i) for i in range(9)})],
         "at": datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc), "d": decimal.Decimal("1.10")}
print(CborSerializer().dumps(value).hex(), JsonSerializer().dumps(value).hex())
"""


def test_the_bytes_are_the_same_in_every_process() -> None:
    seen = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("0", "1", "2", "4242")
    }
    assert len(seen) == 1
    assert seen.pop().strip()
