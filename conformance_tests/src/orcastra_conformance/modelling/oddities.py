"""Odd but legal values, from a random generator: what a broker has to carry without looking at it."""

from __future__ import annotations

import math
import random
from typing import Any

from orcastra_core.model.errors import InvalidName
from orcastra_core.model.ids import TaskId, text_of
from orcastra_core.model.names import MAX_NAME_BYTES, QueueName, queue_name

MAX_TIME = 253402300799.0
"""The last second of the year 9999, Unix seconds."""
MAX_TEXT = 1024
"""Bytes of a dedup key, an ordering key or a reply channel."""

_BYTES = (
    b"",
    b"\x00",
    b"\x00\x00end",
    b"mid\x00dle",
    b"\r\n\r\n",
    b"\xff\xfe",
    b"\xf6",
    b"\x9f\xff",
    b"\xc3\x28",
    b"$3\r\n",
)
_WORDS = (
    "a", "A", "aa", "a:b", "a::b", "a.b", "a b", "a/b", "a\\b", "..", "*", "?", ">", "#", "%", "%00", "{a}", "{", "[a]",
    "'", '"', "';--", "$1", "@", "null", "None", "0", "-1", "é", "e\u0301", "ß", "SS", "ı", "İ", "日本語", "🐋", "🏴\U000e0067",
    "\u00c5", "\u212b", "ﬁ", "fi", "_", "%s", "a=b&c", "q", "q:1", "default", "CON",
)  # fmt: skip
_CONTROL = ("\x00", "\n", "\r\n", "\t", "\x1b[0m", "\u200b", "\u202e", "\ufeff", " ", "\x7f")
_NUMBERS = (0, 1, -1, 23, 24, 255, 256, 2**31, 2**32, 2**53 + 1, 2**63 - 1, -(2**63), 2**64 - 1)
_FRACTIONS = (0.0, 0.1, -1.5, 1e-300, 1e300, 5e-324, math.inf, -math.inf, 2.0**53)
_DISTS = ("test", "a_b", "z9")
_MEDIA_TYPES = ("application/cbor", "application/json", "application/x-any", "text/plain", "a/b", "x-!#$&-^_.+/~%'*`|")


def some_bytes(rng: random.Random, most: int) -> bytes:
    """Return bytes: of a nasty kind, at random, or as many as are allowed."""
    match rng.randrange(8):
        case 0:
            return rng.randbytes(most)
        case 1 | 2 | 3:
            return rng.randbytes(rng.randrange(min(most, 300) + 1))
        case _:
            return b"".join(rng.choices(_BYTES, k=rng.randrange(4)))[:most]


def some_text(rng: random.Random, most: int = MAX_TEXT) -> str:
    """Return text of at least one character and at most so many bytes, control characters and all."""
    parts = rng.choices(_WORDS + _CONTROL, k=rng.choice((1, 1, 2, 3, 400)))
    return _cut("".join(parts), most)


def some_texts(rng: random.Random, number: int, most: int = MAX_TEXT) -> list[str]:
    """Return different texts, among them pairs that a careless store takes for the same."""
    longest = _cut(some_text(rng, most) * most, most - 1)
    texts = dict.fromkeys(
        ("key", "KEY", "key ", "key:", "key\x00", "key\x00more", "k\u00e9y", "ke\u0301y", "k_y", "k%y")
    )
    texts.update(dict.fromkeys((longest + "x", longest + "y", longest[: most // 2])))
    while len(texts) < number:
        texts[some_text(rng, most)] = None
    return rng.sample(list(texts), number)


def some_names(rng: random.Random, number: int) -> list[QueueName]:
    """Return different names of queues, among them pairs that a careless store takes for the same."""
    base = rng.choice([word for word in _WORDS if _legal(word) and word.upper() != word.lower()])
    longest = _cut(base * MAX_NAME_BYTES, MAX_NAME_BYTES - 1).strip() + "x"
    sure = (
        base,
        base.swapcase(),
        base + ":",
        base + "/",
        f"{base} {base}",
        longest,
        longest[:-1] + "y",
        "\u00e9",
        "e\u0301",
    )
    names = dict.fromkeys(name for name in sure if _legal(name))
    while len(names) < number:
        name = rng.choice(_WORDS) + rng.choice(("", "", *_WORDS))
        if _legal(name):
            names[name] = None
    return [queue_name(name) for name in list(names)[:number]]


def some_value(rng: random.Random, depth: int = 3) -> Any:
    """Return a value that CBOR holds and that equals itself."""
    kind = rng.randrange(9 if depth else 6)
    match kind:
        case 0:
            return rng.choice((None, True, False))
        case 1:
            return rng.choice(_NUMBERS)
        case 2:
            return rng.choice(_FRACTIONS)
        case 3:
            return some_bytes(rng, 100)
        case 4 | 5:
            return some_text(rng, 100)
        case 6 | 7:
            return [some_value(rng, depth - 1) for _ in range(rng.randrange(4))]
        case _:
            return {some_text(rng, 40): some_value(rng, depth - 1) for _ in range(rng.randrange(4))}


def some_headers(rng: random.Random) -> dict[str, Any]:
    """Return headers of a few dists."""
    names = [f"x-{rng.choice(_DISTS)}-{_visible(rng)}" for _ in range(rng.randrange(4))]
    return {name: some_value(rng) for name in names}


def some_extras(rng: random.Random) -> dict[int, Any]:
    """Return what a later version might have written: values under keys that nobody knows yet."""
    keys = (17, 23, 24, 100, 2**16, 2**31, 2**63 - 1, -1, -25, -(2**63) + 1)
    return {rng.choice(keys): some_value(rng) for _ in range(rng.randrange(3))}


def some_id(rng: random.Random) -> TaskId:
    """Return any id, of whatever version."""
    return text_of(
        rng.choice(
            (rng.randbytes(16), rng.randbytes(16), b"\x00" * 15 + rng.randbytes(1), b"\xff" * 15 + rng.randbytes(1))
        )
    )


def some_media_type(rng: random.Random) -> str:
    """Return a content type."""
    return rng.choice(_MEDIA_TYPES)


def some_moment(rng: random.Random) -> float:
    """Return Unix seconds from 1970 to 9999."""
    return rng.choice((0.0, 1e-6, 1.5, 2.0**31, 2.0**32 + 0.5, 1_750_000_000.123456, MAX_TIME))


def _visible(rng: random.Random) -> str:
    return "".join(chr(rng.randint(0x21, 0x7E)) for _ in range(rng.choice((1, 5, 100))))


def _cut(text: str, most: int) -> str:
    return text.encode()[:most].decode(errors="ignore") or "x"


def _legal(name: str) -> bool:
    try:
        queue_name(name)
    except InvalidName:
        return False
    return True
