"""Wire format v1 of the envelope: a CBOR map with integer keys.

``docs/reference/wire-format.md`` is the specification; ``envelope_fields``
has the keys. What most envelopes look like is written by concatenation and
read by slicing; everything else goes field by field. Both ways give the same
bytes and the same envelopes.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, Final

from orcastra_core.model.counts import FRESH
from orcastra_core.model.envelope import CBOR, Envelope
from orcastra_core.model.errors import DeserializationError, SerializationError
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import QueueName, TaskName
from orcastra_core.serialization import envelope_fields as fields
from orcastra_core.serialization.cbor_decode import read_head, read_item
from orcastra_core.serialization.cbor_encode import encode
from orcastra_core.serialization.cbor_items import blob, head, pack_double, text
from orcastra_core.serialization.limits import MAX_DEPTH
from orcastra_core.serialization.refusal import Refusal, shown_key

VERSION: Final = 1
"""The major version this code writes, and the only one it reads."""

_PLAIN = b"\xa6\x00\x01\x01\x50"  # six keys: version, id, submitted_at, queue, task, body
_PLAIN_REPLY = b"\xa7\x00\x01\x01\x50"  # and reply
_unpack_double = struct.Struct(">d").unpack_from

# Names and reply channels recur with every envelope; their bytes are kept. An entry
# is a pure function of its key, so threads may race on these.
_MAX_KEPT = 1024
_names_to_wire: dict[tuple[str, str], bytes] = {}
_reply_to_wire: dict[str, bytes] = {}
_wire_to_names: dict[bytes, tuple[QueueName, TaskName]] = {}
_wire_to_reply: dict[bytes, str] = {}


def encode_envelope(envelope: Envelope, /) -> bytes:
    """Return the wire form: the same bytes for equal envelopes, in every process.

    Raises:
        SerializationError: A field or header has no wire form; the message names it.
    """
    if (
        envelope.submitted_at is not None
        and 0.0 <= envelope.submitted_at < fields.MAX_TIME
        and envelope.content_type == CBOR
        and envelope.priority == 0
        and envelope.due is None
        and envelope.expires is None
        and envelope.dedup is None
        and envelope.order_by is None
        and envelope.timeout is None
        and envelope.result_ttl is None
        and envelope.parent is None
        and envelope.counts is FRESH
        and not envelope.headers
        and not envelope.extras
    ):
        try:
            names = _names_to_wire.get((envelope.queue, envelope.task)) or _keep_names(envelope.queue, envelope.task)
            raw_id = bytes.fromhex(envelope.id.replace("-", ""))
            if len(raw_id) == 16:
                reply = envelope.reply
                if reply is None:
                    return b"".join(
                        (_PLAIN, raw_id, b"\x02\xfb", pack_double(envelope.submitted_at), names, blob(envelope.body))
                    )
                return b"".join(
                    (
                        _PLAIN_REPLY,
                        raw_id,
                        b"\x02\xfb",
                        pack_double(envelope.submitted_at),
                        names,
                        blob(envelope.body),
                        _reply_to_wire.get(reply) or _keep_reply(reply),
                    )
                )
        except (ValueError, TypeError, struct.error):
            pass  # the general way finds out which field it was
    return _encode_any(envelope)


def _encode_any(envelope: Envelope) -> bytes:
    pairs: list[bytes] = [b"\x00\x01"]
    for field in fields.FIELDS:
        try:
            value = field.get(envelope)
            if value is not None:
                pairs.append(head(0, field.key) + field.write(value))
        except (ValueError, TypeError, OverflowError, struct.error) as error:
            raise SerializationError(f"envelope of task {envelope.task!r}: {field.name}: {error}") from None
    for key in sorted(envelope.extras):
        if type(key) is not int or key in fields.BY_KEY or key == 0 or abs(key) >= 2**63:
            raise SerializationError(f"envelope of task {envelope.task!r}: {shown_key(key)} cannot be an extra key")
        pairs.append(encode(key) + _encode_value(envelope, f"extras[{key}]", envelope.extras[key]))
    for name in sorted(envelope.headers):
        if not fields.is_header(name):
            raise SerializationError(
                f"envelope of task {envelope.task!r}: {name!r} is no header name; expected x-<dist>-<name>"
            )
        pairs.append(text(name) + _encode_value(envelope, f"headers[{name!r}]", envelope.headers[name]))
    return head(5, len(pairs)) + b"".join(pairs)


def _encode_value(envelope: Envelope, where: str, value: Any) -> bytes:
    try:
        return encode(value)
    except Refusal as refusal:
        raise SerializationError(
            f"envelope of task {envelope.task!r}: {where}{refusal.where()}: {refusal.why}"
        ) from None


def _keep_names(queue: str, task: str) -> bytes:
    if len(_names_to_wire) >= _MAX_KEPT:
        _names_to_wire.clear()
    wire = b"\x03" + fields.BY_KEY[3].write(queue) + b"\x04" + fields.BY_KEY[4].write(task) + b"\x05"
    _names_to_wire[queue, task] = wire
    return wire


def _keep_reply(reply: str) -> bytes:
    if len(_reply_to_wire) >= _MAX_KEPT:
        _reply_to_wire.clear()
    wire = _reply_to_wire[reply] = b"\x06" + fields.BY_KEY[6].write(reply)
    return wire


def decode_envelope(raw: bytes, /) -> Envelope:
    """Return the envelope that ``raw`` holds, its names, types and ranges checked.

    Raises:
        DeserializationError: It holds none, or one of an unknown major
            version; the message says why. Nothing else, for any bytes.
    """
    try:
        if raw.startswith((_PLAIN_REPLY, _PLAIN)) and raw[21:23] == b"\x02\xfb":
            envelope = _decode_plain(raw)
            if envelope is not None:
                return envelope
    except (IndexError, struct.error):
        pass  # the general way finds out what is missing
    return _decode_any(raw)


def _decode_plain(raw: bytes) -> Envelope | None:
    """Read the usual layout; None or IndexError for whatever is not quite it."""
    # 5..21 id · 23..31 submitted_at · 31 key of the queue · 32 head of its text
    size = raw[32]
    at = 33 + (size & 0x1F) if size < 0x78 else 34 + raw[33]
    size = raw[at + 1]
    at += 2 + (size & 0x1F) if size < 0x78 else 3 + raw[at + 2]
    at += 1
    names = _wire_to_names.get(raw[31:at])
    if names is None:
        return None
    size = raw[at]
    if 0x40 <= size < 0x58:
        start = at + 1
        end = start + size - 0x40
    elif size == 0x58:
        start = at + 2
        end = start + raw[at + 1]
    elif size == 0x59:
        start = at + 3
        end = start + (raw[at + 1] << 8 | raw[at + 2])
    else:
        return None
    if raw[0] == 0xA7:
        reply = _wire_to_reply.get(raw[end:])
        if reply is None:
            return None
    elif end == len(raw):
        reply = None
    else:
        return None
    submitted_at = _unpack_double(raw, 23)[0]
    if not 0.0 <= submitted_at < fields.MAX_TIME:
        return None
    h = raw[5:21].hex()
    return Envelope(
        TaskId(f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"),
        names[0],
        names[1],
        raw[start:end],
        reply=reply,
        submitted_at=submitted_at,
    )


def _decode_any(raw: bytes) -> Envelope:
    major, pairs, at = read_head(raw, 0)
    if major != 5 or pairs == 0:
        raise DeserializationError("no envelope: it does not begin with a CBOR map")
    key, at = read_item(raw, at, MAX_DEPTH, True)
    if type(key) is not int or key != 0:
        raise DeserializationError("no envelope: its first key is not the version (0)")
    version, at = read_item(raw, at, MAX_DEPTH, True)
    if type(version) is not int or version != VERSION:
        raise DeserializationError(
            f"envelope version {shown_key(version)} is unknown to this release, which reads {VERSION}"
        )
    known: dict[str, Any] = {}
    extras: dict[int, Any] = {}
    headers: dict[str, Any] = {}
    for _ in range(pairs - 1):
        if at < len(raw) and raw[at] < 24:
            key, at = raw[at], at + 1
        else:
            key, at = read_item(raw, at, 0, True)
        field = fields.BY_KEY.get(key) if type(key) is int else None
        value, at = read_item(raw, at, 0, False)
        if field is not None:
            if field.name in known:
                raise DeserializationError(f"envelope: {field.name} is there twice")
            try:
                known[field.name] = field.read(value)
            except ValueError as error:
                raise DeserializationError(f"envelope: {field.name}: {error}") from None
        else:
            _keep_unknown(key, value, extras, headers)
    if at != len(raw):
        raise DeserializationError(f"envelope: {len(raw) - at} bytes follow it")
    return _build(known, extras, headers)


def _keep_unknown(key: Any, value: Any, extras: dict[int, Any], headers: dict[str, Any]) -> None:
    if type(key) is int and key != 0 and abs(key) < 2**63:
        if key in extras:
            raise DeserializationError(f"envelope: key {key} is there twice")
        extras[key] = value
    elif fields.is_header(key):
        if key in headers:
            raise DeserializationError(f"envelope: header {key!r} is there twice")
        headers[key] = value
    else:
        raise DeserializationError(f"envelope: {shown_key(key)} is neither one of our keys nor x-<dist>-<name>")


def _build(known: dict[str, Any], extras: Mapping[int, Any], headers: Mapping[str, Any]) -> Envelope:
    for name in fields.REQUIRED:
        if name not in known:
            raise DeserializationError(f"envelope: {name} is missing")
    if extras:
        known["extras"] = extras
    if headers:
        known["headers"] = headers
    envelope = Envelope(**known)
    _remember(envelope.queue, envelope.task, envelope.reply)
    return envelope


def _remember(queue: QueueName, task: TaskName, reply: str | None) -> None:
    """Keep checked names, so that the next plain envelope with them is read by slicing."""
    if len(_wire_to_names) >= _MAX_KEPT:
        _wire_to_names.clear()
    _wire_to_names[_names_to_wire.get((queue, task)) or _keep_names(queue, task)] = queue, task
    if reply is not None:
        if len(_wire_to_reply) >= _MAX_KEPT:
            _wire_to_reply.clear()
        _wire_to_reply[_reply_to_wire.get(reply) or _keep_reply(reply)] = reply
