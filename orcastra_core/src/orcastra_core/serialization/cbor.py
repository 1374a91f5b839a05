"""The default serializer: CBOR (RFC 8949)."""

from __future__ import annotations

import os
import re
from typing import Any, Final

import cbor2

from orcastra_core.model.envelope import CBOR
from orcastra_core.serialization import cbor_decode, cbor_encode
from orcastra_core.serialization.limits import MAX_DEPTH
from orcastra_core.serialization.tags import ADMITTED

# cbor2 reads most bodies ten times as fast as Python can, but by its own rules. It
# is asked with options under which everything it accepts is right, but for
# two things that are looked for here: bytes behind the item, and simple values.
# What it refuses, our own reader judges: that reader is the rule.

_END: Final = os.urandom(12)  # cannot be guessed, so nothing but our own end mark equals it
_TAIL: Final = b"\x4c" + _END
_HEAD: Final = b"\x82"
_loads = cbor2.loads

_SIMPLE = re.compile(rb"[\xe0-\xf3\xf7\xf8]").search


class _Tags(dict[int, Any]):
    """The admitted tags; a look-up of any other ends cbor2's attempt at once."""

    def __missing__(self, tag: int) -> Any:
        raise ValueError(f"tag {tag}")


_TAGS: Final = _Tags({tag: (lambda item, _, read=read: read(item)) for tag, read in ADMITTED.items()})


class CborSerializer:
    """CBOR, deterministic and strict. Stateless and thread-safe.

    Writes None, bool, int of any size, float, str, bytes, list, dict, set,
    frozenset, aware datetime, date, timedelta, Decimal and UUID, and gives them
    back as they were, except that a tuple comes back as a list (as a tuple in
    a key or a set), a frozenset as a set, a datetime's zone as its offset from
    UTC, an Enum as its value, and a subclass as the type it extends.
    """

    content_type = CBOR

    def dumps(self, value: Any, /) -> bytes:
        """Return ``value`` as bytes: the same bytes for the same value, in every process.

        Dicts keep their order; sets are sorted by their members' bytes.

        Raises:
            SerializationError: It holds something else, a naive datetime, a
                Decimal that is no number, or more than 100 levels. The message
                begins with ``value`` and the path, as in ``value['when'][1]``.
        """
        return cbor_encode.dumps(value)

    def loads(self, data: bytes, /) -> Any:
        """Return the value that ``data`` holds, in time and memory bounded by its length.

        Raises:
            DeserializationError: And nothing else, for any bytes.
        """
        try:
            value, end = _loads(
                b"%b%b%b" % (_HEAD, data, _TAIL),
                semantic_decoders=_TAGS,
                max_depth=MAX_DEPTH + 1,
                allow_indefinite=False,
                allow_duplicate_keys=False,
                strict_hashable_types=True,
            )
            if end == _END and (_SIMPLE(data) is None or _has_no_simple(value)):
                return value
        except cbor2.CBORDecodeError:
            pass
        return cbor_decode.decode(data)


def _has_no_simple(value: Any) -> bool:
    kind = type(value)
    if kind is list:
        return all(map(_has_no_simple, value))
    if kind is dict:
        return all(map(_has_no_simple, value.values()))
    return kind is not cbor2.CBORSimpleValue and value is not cbor2.undefined
