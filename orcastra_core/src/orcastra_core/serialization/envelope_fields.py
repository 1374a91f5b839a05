"""The keys of an envelope on the wire, and how each field is written, read and checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Final

import attrs

from orcastra_core.model.counts import FRESH, Counts
from orcastra_core.model.envelope import CBOR, Dedup, DedupMode, Envelope
from orcastra_core.model.errors import InvalidName
from orcastra_core.model.ids import bytes_of, text_of
from orcastra_core.model.names import queue_name, task_name
from orcastra_core.serialization.cbor_encode import encode
from orcastra_core.serialization.cbor_items import NULL, blob, double, head, text

MAX_TIME: Final = 253402300800.0
"""Moments are before the year 10000, Unix seconds."""

_MAX_TEXT = 1024
_MAX_COUNT = 2**31
_HEADER = re.compile(r"x-[a-z0-9_]+-[!-~]{1,100}\Z")
_MEDIA_TYPE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")


def is_header(key: object) -> bool:
    """Whether ``key`` may name a header: ``x-``, a dist with underscores, ``-`` and a name."""
    return isinstance(key, str) and len(key) <= 200 and _HEADER.match(key) is not None


@attrs.frozen
class Field:
    """One field. ``get`` answers None for what is left out; ``write`` and ``read`` raise ValueError."""

    key: int
    name: str
    get: Callable[[Envelope], Any]
    write: Callable[[Any], bytes]
    read: Callable[[Any], Any]


def write_id(value: Any) -> bytes:
    """Return an id as a byte string item. Raises ValueError."""
    try:
        raw = bytes_of(value)
    except (ValueError, AttributeError):
        raw = b""
    if len(raw) != 16:
        raise ValueError(f"{value!r} is not a task id")
    return b"\x50" + raw


def read_id(value: Any) -> Any:
    """Return the id of 16 bytes. Raises ValueError."""
    if type(value) is not bytes or len(value) != 16:
        raise ValueError("expected 16 bytes")
    return text_of(value)


def read_moment(value: Any) -> float:
    """Return Unix seconds. Raises ValueError."""
    if (type(value) is not float and type(value) is not int) or not 0 <= value < MAX_TIME:
        raise ValueError("expected Unix seconds, 0 or more")
    return float(value)


def read_seconds(value: Any) -> float:
    """Return a span of seconds. Raises ValueError."""
    if (type(value) is not float and type(value) is not int) or not 0 <= value < MAX_TIME:
        raise ValueError("expected seconds, 0 or more")
    return float(value)


def _number(check: Callable[[Any], float]) -> Callable[[Any], bytes]:
    return lambda value: double(check(value))


def read_text(value: Any) -> str:
    """Return a text of 1 to 1024 bytes. Raises ValueError."""
    if type(value) is not str or not value or len(value.encode()) > _MAX_TEXT:
        raise ValueError(f"expected a text of 1 to {_MAX_TEXT} bytes")
    return value


def _write_text(value: Any) -> bytes:
    return text(read_text(value))


def read_bytes(value: Any) -> bytes:
    """Return a byte string. Raises ValueError."""
    if type(value) is not bytes:
        raise ValueError("expected a byte string")
    return value


def read_media_type(value: Any) -> str:
    """Return a content type. Raises ValueError."""
    if type(value) is not str or len(value) > 200 or not _MEDIA_TYPE.match(value):
        raise ValueError("expected a media type such as application/cbor")
    return value


def _read_priority(value: Any) -> int:
    if type(value) is not int or not -(2**31) <= value < 2**31:
        raise ValueError("expected a whole number of 32 bits")
    return value


def _write_dedup(value: Dedup) -> bytes:
    _check_window(value.mode, value.window)
    window = NULL if value.window is None else double(read_seconds(value.window))
    return b"\x83" + _write_text(value.key) + head(0, DedupMode(value.mode)) + window


def _read_dedup(value: Any) -> Dedup:
    if type(value) is not list or len(value) < 3 or type(value[1]) is not int:
        raise ValueError("expected [key, mode, window]")
    mode = DedupMode(value[1])
    window = None if value[2] is None else read_seconds(value[2])
    _check_window(mode, window)
    return Dedup(read_text(value[0]), mode, window)


def _check_window(mode: DedupMode, window: float | None) -> None:
    if (mode is DedupMode.WINDOW) != (window is not None) or window == 0:
        raise ValueError("a window of more than 0 seconds goes with mode WINDOW, and only with it")


def _write_counts(value: Counts) -> bytes:
    return encode(_check_counts([value.attempt, value.lost, value.released]))


def _read_counts(value: Any) -> Counts:
    return Counts(*_check_counts(value)[:3])


def _check_counts(value: Any) -> list[int]:
    if type(value) is not list or len(value) < 3 or not all(type(n) is int and 0 <= n < _MAX_COUNT for n in value[:3]):
        raise ValueError("expected [attempt, lost, released], each 0 or more")
    return value


def _name(check: Callable[[Any], str]) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        try:
            return check(value)
        except InvalidName as error:
            raise ValueError(str(error)) from None

    return read


_read_queue, _read_task = _name(queue_name), _name(task_name)

FIELDS: Final[tuple[Field, ...]] = (
    Field(1, "id", attrgetter("id"), write_id, read_id),
    Field(2, "submitted_at", attrgetter("submitted_at"), _number(read_moment), read_moment),
    Field(3, "queue", attrgetter("queue"), lambda v: text(_read_queue(v)), _read_queue),
    Field(4, "task", attrgetter("task"), lambda v: text(_read_task(v)), _read_task),
    Field(5, "body", attrgetter("body"), lambda v: blob(read_bytes(v)), read_bytes),
    Field(6, "reply", attrgetter("reply"), _write_text, read_text),
    Field(
        7,
        "content_type",
        lambda e: None if e.content_type == CBOR else e.content_type,
        lambda v: text(read_media_type(v)),
        read_media_type,
    ),
    Field(8, "priority", lambda e: e.priority or None, lambda v: encode(_read_priority(v)), _read_priority),
    Field(9, "due", attrgetter("due"), _number(read_moment), read_moment),
    Field(10, "expires", attrgetter("expires"), _number(read_moment), read_moment),
    Field(11, "dedup", attrgetter("dedup"), _write_dedup, _read_dedup),
    Field(12, "order_by", attrgetter("order_by"), _write_text, read_text),
    Field(13, "timeout", attrgetter("timeout"), _number(read_seconds), read_seconds),
    Field(14, "result_ttl", attrgetter("result_ttl"), _number(read_seconds), read_seconds),
    Field(15, "parent", attrgetter("parent"), write_id, read_id),
    Field(16, "counts", lambda e: None if e.counts == FRESH else e.counts, _write_counts, _read_counts),
)

REQUIRED: Final = ("id", "queue", "task", "body")

BY_KEY: Final[Mapping[int, Field]] = MappingProxyType({field.key: field for field in FIELDS})

RESERVED: Final[Mapping[int, str]] = MappingProxyType(
    {
        17: "task_version",
        18: "retry_policy",
        19: "deadline",
        20: "trace_context",
        21: "flow",
        22: "encoding",
        23: "producer",
    }
)
"""Keys with a meaning that this version does not use; they travel as extras."""
