"""The values that every serializer holds: what a task may take and return whatever its body is written in."""

from __future__ import annotations

import datetime as dt
import math
import random
import sys
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from orcastra_core.interfaces.serializer import Serializer
from orcastra_core.plugins import load
from orcastra_core.plugins.loader import SERIALIZERS

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

SAMPLE: Any = [
    None,
    [True, False, 0, -1, 2**53 + 1, -(2**200), 1.5, -0.0, 1e300],
    {"text": "ü \x00 \U0001f40b", "": [], "$key": {}},
    [b"", bytes(range(256))],
    dt.datetime(2024, 2, 29, 23, 59, 59, 999999, dt.timezone(dt.timedelta(hours=-3, minutes=-30))),
    [dt.date(1, 1, 1), dt.timedelta(days=-1, microseconds=1), Decimal("-0.10"), Decimal("1E+20")],
    uuid.UUID(int=2**127 + 5),
    {"a", "b", "c", "d", "e", "f", "g", "h"},
    {1: "one", (2, "two"): 2, b"three": 3.0},
]
"""One of each kind."""


def serializer(name: str) -> Serializer:
    """Return the serializer of an entry point. Raises PluginError."""
    made: Serializer = load(SERIALIZERS, name)()
    return made


def values() -> SearchStrategy[Any]:
    """Return a strategy for values of every declared kind, nested."""
    from hypothesis import strategies as st  # not needed by those who only list cases

    texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    zones = st.integers(-1439, 1439).map(lambda minutes: dt.timezone(dt.timedelta(minutes=minutes)))
    leaves = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.integers(-(2**300), 2**300),
        st.floats(allow_nan=False, allow_infinity=False),
        texts,
        st.binary(max_size=30),
        st.builds(dt.datetime.combine, st.dates(dt.date(1, 1, 3), dt.date(9999, 12, 28)), st.times(), zones),
        st.dates(),
        st.timedeltas(),
        st.decimals(allow_nan=False, allow_infinity=False, places=4),
        st.uuids(),
    )
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
    )


def same(left: Any, right: Any) -> bool:
    """Whether two values are equal and of the same types all the way down, order of keys and sign of zero included."""
    if type(left) is not type(right):
        return False
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return same(list(left), list(right)) and same(list(left.values()), list(right.values()))
    if isinstance(left, float):
        return left == right and math.copysign(1, left) == math.copysign(1, right)
    if isinstance(left, dt.datetime):
        return bool(left == right and left.utcoffset() == right.utcoffset())
    if isinstance(left, Decimal):
        return str(left) == str(right)
    return bool(left == right)


def hostile(written: bytes, rng: random.Random) -> list[bytes]:
    """Return bytes that nobody wrote: chance, damage, and the tricks of the formats we know.

    Args:
        written: What the serializer writes, to be damaged.
        rng: Where chance comes from.
    """
    many = 50_000
    tricks = [
        b"",
        *(bytes([byte]) * many for byte in b'\x81\xa1\xd8\xc1\x9f\xbf\x5f[{("'),  # nesting, tags, endless items
        b'{"a":' * many,
        b"[" * many + b"]" * many,
        *(bytes([major << 5 | 27]) + b"\x7f" + b"\xff" * 7 for major in range(8)),  # CBOR: lengths beyond all memory
        b"\x9a\x00\xff\xff\xff",
        b"9" * many,
        b"-1e" + b"9" * 400,
        b'{"$int":"' + b"9" * many + b'"}',
        b'{"$decimal":"1e999999999"}',
        b"\xc4\x82\x1b" + b"\xff" * 8 + b"\x01",  # a decimal fraction whose exponent is 2^64
        b"\xd8\x1d\x00",  # a reference to what is being read
        b"\xc0\x63abc",
        b"\xd8\x23\x68(a+)+b$$",  # a regular expression
        b'{"a":1,"a":2}',
        b"NaN",
        b'"\\ud800"',
        b"\xff\xfe\x00\x00",
        b"\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00.",  # a pickle
    ]
    damaged: list[bytes] = []
    for _ in range(150):
        copy = bytearray(written)
        for _ in range(rng.randrange(1, 4)):
            copy[rng.randrange(len(copy))] = rng.randrange(256)
        damaged.append(bytes(copy[: rng.randrange(1, len(copy) + 1)] if rng.random() < 0.3 else copy))
    chance = [rng.randbytes(rng.randrange(1, 60)) for _ in range(150)]
    return tricks + damaged + chance


if __name__ == "__main__":  # in a process with another hash seed: the bytes of the sample, for comparing
    sys.stdout.write(serializer(sys.argv[1]).dumps(SAMPLE).hex())
