"""Envelopes to their wire form and back; the vectors are in test_wire_format_page."""

from __future__ import annotations

import math
import time
from typing import Any

import attrs
import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orcastra_core.model.counts import Counts
from orcastra_core.model.envelope import Dedup, DedupMode, Envelope
from orcastra_core.model.errors import DeserializationError, SerializationError
from orcastra_core.model.ids import IdFactory, TaskId, text_of
from orcastra_core.model.names import QueueName, TaskName
from orcastra_core.serialization import envelope_codec
from orcastra_core.serialization.envelope_codec import decode_envelope, encode_envelope
from orcastra_core.serialization.envelope_fields import RESERVED

bounded = settings(max_examples=250, deadline=None, derandomize=True)
ID = TaskId("01920f5e-7c00-7a3b-8d4e-5f60718293a4")
PLAIN = Envelope(ID, QueueName("mail"), TaskName("shop.greet"), b"\x82\x80\xa0", submitted_at=1.7e9, reply="c7")

names = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=50)
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=250)
moments = st.none() | st.floats(0, 253402300799)
seconds = st.none() | st.floats(0, 1e9)
ids = st.binary(min_size=16, max_size=16).map(text_of)
dedups = (
    st.none()
    | st.builds(Dedup, texts, st.sampled_from([DedupMode.ALIVE, DedupMode.UNTIL_START]))
    | st.builds(Dedup, texts, st.just(DedupMode.WINDOW), st.floats(0.001, 1e6))
)
counts = st.integers(0, 2**31 - 1)
facts = st.none() | st.integers() | texts | st.lists(st.integers(), max_size=3)
envelopes = st.builds(
    Envelope,
    id=ids,
    queue=names,
    task=names,
    body=st.binary(max_size=100) | st.integers(0, 70000).map(bytes),
    content_type=st.sampled_from(["application/cbor", "application/json", "text/x-yaml"]),
    priority=st.just(0) | st.integers(-(2**31), 2**31 - 1),
    due=moments,
    expires=moments,
    dedup=dedups,
    order_by=st.none() | texts,
    reply=st.none() | texts,
    submitted_at=moments,
    timeout=seconds,
    result_ttl=seconds,
    parent=st.none() | ids,
    counts=st.builds(Counts, counts, counts, counts),
    headers=st.dictionaries(st.sampled_from(["x-shop-tenant", "x-a_b-1", "x-z-~"]), facts, max_size=3),
    extras=st.dictionaries(st.integers(17, 2**63 - 1) | st.integers(-(2**63) + 1, -1), facts, max_size=3),
)
plain = st.builds(
    Envelope,
    id=ids,
    queue=names,
    task=names,
    body=st.binary(max_size=300) | st.integers(0, 70000).map(bytes),
    reply=st.none() | names,
    submitted_at=st.floats(0, 253402300799),
)


@bounded
@given(envelopes | plain)
def test_what_was_written_is_read(envelope: Envelope) -> None:
    raw = encode_envelope(envelope)
    assert decode_envelope(raw) == envelope
    assert decode_envelope(raw) == envelope  # its names are known now: the other way of reading
    assert next(iter(cbor2.loads(raw))) == 0


@bounded
@given(plain)
def test_both_ways_of_writing_and_reading_agree(envelope: Envelope) -> None:
    raw = encode_envelope(envelope)
    assert raw == envelope_codec._encode_any(envelope)
    assert decode_envelope(raw) == envelope_codec._decode_any(raw)


def test_equal_envelopes_have_equal_bytes() -> None:
    left = attrs.evolve(PLAIN, headers={"x-a-b": 1, "x-a-a": 2}, extras={99: 1, 17: 2}, counts=Counts(0, 0, 0))
    right = attrs.evolve(PLAIN, headers={"x-a-a": 2, "x-a-b": 1}, extras={17: 2, 99: 1})
    assert left == right
    assert encode_envelope(left) == encode_envelope(right)
    assert encode_envelope(attrs.evolve(PLAIN, counts=Counts())) == encode_envelope(PLAIN)


@pytest.mark.parametrize("key", [*RESERVED, 24, 1000, -1])
def test_integer_keys_of_a_later_version_survive_a_hop(key: int) -> None:
    wire = cbor2.loads(encode_envelope(PLAIN)) | {key: {"a": [1, None]}}
    envelope = decode_envelope(cbor2.dumps(wire))
    assert envelope.extras == {key: {"a": [1, None]}}
    assert cbor2.loads(encode_envelope(envelope)) == wire


def changed(**keys: Any) -> bytes:
    """The plain envelope with keys (k5=…) replaced, or with None left out."""
    wire = cbor2.loads(encode_envelope(PLAIN)) | {int(name[1:]): value for name, value in keys.items()}
    return cbor2.dumps({key: value for key, value in wire.items() if value is not ...})


@pytest.mark.parametrize(
    "raw, why",
    [
        (b"", "the data ends"),
        (b"\x80", "does not begin with a CBOR map"),
        (b"\xa0", "does not begin with a CBOR map"),
        (cbor2.dumps({1: 1, 0: 1}), "first key is not the version"),
        (cbor2.dumps({False: 1}), "first key is not the version"),
        (changed(k0=2), "version 2 is unknown to this release, which reads 1"),
        (changed(k0="1"), "version '1' is unknown"),
        (changed(k0=2**40000), "version a int is unknown"),
        (changed(k1=...), "envelope: id is missing"),
        (changed(k3=...), "envelope: queue is missing"),
        (changed(k4=...), "envelope: task is missing"),
        (changed(k5=...), "envelope: body is missing"),
        (changed(k1=b"short"), "envelope: id: expected 16 bytes"),
        (changed(k1=str(ID)), "envelope: id: expected 16 bytes"),
        (changed(k2=-1.0), "envelope: submitted_at: expected Unix seconds"),
        (changed(k2=math.nan), "envelope: submitted_at: expected Unix seconds"),
        (changed(k2=math.inf), "envelope: submitted_at: expected Unix seconds"),
        (changed(k2=True), "envelope: submitted_at: expected Unix seconds"),
        (changed(k3=""), "envelope: queue: a queue name must not be empty"),
        (changed(k3=b"mail"), "envelope: queue: a queue name must be a str, not bytes"),
        (changed(k4=" greet"), "envelope: task: task name ' greet' has control characters, or white space"),
        (changed(k4="x" * 201), "envelope: task: task name"),
        (changed(k5="text"), "envelope: body: expected a byte string"),
        (changed(k6=""), "envelope: reply: expected a text of 1 to 1024 bytes"),
        (changed(k6="ü" * 513), "envelope: reply: expected a text of 1 to 1024 bytes"),
        (changed(k7="json"), "envelope: content_type: expected a media type"),
        (changed(k7="text/plain; charset=utf-8"), "envelope: content_type: expected a media type"),
        (changed(k8=1.0), "envelope: priority: expected a whole number"),
        (changed(k8=2**31), "envelope: priority: expected a whole number"),
        (changed(k8=True), "envelope: priority: expected a whole number"),
        (changed(k9=2.6e11), "envelope: due: expected Unix seconds"),
        (changed(k10="soon"), "envelope: expires: expected Unix seconds"),
        (changed(k11=["a", 3, None]), "envelope: dedup: 3 is not a valid DedupMode"),
        (changed(k11=["a", 0, 5.0]), "envelope: dedup: a window of more than 0 seconds goes with mode WINDOW"),
        (changed(k11=["a", 2, None]), "envelope: dedup: a window of more than 0 seconds goes with mode WINDOW"),
        (changed(k11=["a", 2, 0.0]), "envelope: dedup: a window of more than 0 seconds"),
        (changed(k11=["", 0, None]), "envelope: dedup: expected a text"),
        (changed(k11=["a", 0]), r"envelope: dedup: expected \[key, mode, window\]"),
        (changed(k12=1), "envelope: order_by: expected a text"),
        (changed(k13=-0.5), "envelope: timeout: expected seconds, 0 or more"),
        (changed(k14=math.inf), "envelope: result_ttl: expected seconds, 0 or more"),
        (changed(k15=b""), "envelope: parent: expected 16 bytes"),
        (changed(k16=[0, 0]), r"envelope: counts: expected \[attempt, lost, released\]"),
        (changed(k16=[0, -1, 0]), "envelope: counts: expected"),
        (changed(k16=[0, False, 0]), "envelope: counts: expected"),
        (changed(k99=cbor2.CBORTag(35, "a")), "CBOR: tag 35 at byte"),
        (changed() + b"\x00", "envelope: 1 bytes follow it"),
        (changed(k2=1)[:-1], "the data ends"),
        (b"\xa2\x00\x01\x61a\x01", "envelope: 'a' is neither one of our keys nor x-<dist>-<name>"),
        (b"\xa2\x00\x01\x65x-a-b", "the data ends"),
        (b"\xa2\x00\x01\x41a\x01", "envelope: b'a' is neither"),
        (b"\xa3\x00\x01\x08\x01\x08\x01", "envelope: priority is there twice"),
        (b"\xa3\x00\x01\x18\x63\x01\x18\x63\x01", "envelope: key 99 is there twice"),
        (b"\xa3\x00\x01\x65x-a-b\x01\x65x-a-b\x01", "envelope: header 'x-a-b' is there twice"),
        (b"\xa2\x00\x01\x00\x01", "envelope: 0 is neither"),
        (b"\xa2\x00\x01\xc2\x49\x01\x00\x00\x00\x00\x00\x00\x00\x00\x01", "envelope: 18446744073709551616 is neither"),
    ],
)  # fmt: skip
def test_unreadable_envelopes_say_why(raw: bytes, why: str) -> None:
    with pytest.raises(DeserializationError, match=why):
        decode_envelope(raw)


def test_what_other_writers_may_do() -> None:
    assert decode_envelope(changed(k2=1_700_000_000)) == PLAIN  # an integer for a float
    assert decode_envelope(changed(k16=[1, 2, 3, "more"])).counts == Counts(1, 2, 3)
    assert decode_envelope(changed(k7="application/cbor")) == PLAIN
    backwards = dict(sorted(cbor2.loads(encode_envelope(PLAIN)).items(), key=lambda pair: (pair[0] != 0, -pair[0])))
    assert decode_envelope(cbor2.dumps(backwards)) == PLAIN


@pytest.mark.parametrize(
    "fields, why",
    [
        ({"id": "no-id"}, "id: 'no-id' is not a task id"),
        ({"id": "01920f5e"}, "id: '01920f5e' is not a task id"),
        ({"queue": ""}, "queue: a queue name must not be empty"),
        ({"task": "\ud800"}, "task: task name '\\\\ud800' is not valid Unicode"),
        ({"body": "text"}, "body: expected a byte string"),
        ({"submitted_at": math.nan}, "submitted_at: expected Unix seconds"),
        ({"submitted_at": -1.0}, "submitted_at: expected Unix seconds"),
        ({"reply": ""}, "reply: expected a text"),
        ({"priority": 2**40}, "priority: expected a whole number"),
        ({"due": math.inf}, "due: expected Unix seconds"),
        ({"dedup": Dedup("")}, "dedup: expected a text"),
        ({"dedup": Dedup("a", DedupMode.ALIVE, 1.0)}, "dedup: a window"),
        ({"counts": Counts(-1)}, "counts: expected"),
        ({"content_type": "json"}, "content_type: expected a media type"),
        ({"headers": {"tenant": 1}}, "'tenant' is no header name; expected x-<dist>-<name>"),
        ({"headers": {"x-shop-a": [object()]}}, r"headers\['x-shop-a'\]\[0\]: a object cannot be serialized"),
        ({"extras": {5: 1}}, "5 cannot be an extra key"),
        ({"extras": {99: {"a": object()}}}, r"extras\[99\]\['a'\]: a object cannot be serialized"),
    ],
)
def test_what_has_no_wire_form_is_named(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(SerializationError, match=why):
        encode_envelope(attrs.evolve(PLAIN, **fields))


def test_the_kept_names_stay_few() -> None:
    new_id = IdFactory(now=time.time)
    for number in range(3000):
        envelope = Envelope(new_id(), QueueName(f"q{number}"), TaskName("t"), b"", submitted_at=1.0, reply=f"c{number}")
        assert decode_envelope(encode_envelope(envelope)) == envelope
    for kept in ("_names_to_wire", "_reply_to_wire", "_wire_to_names", "_wire_to_reply"):
        assert len(getattr(envelope_codec, kept)) <= 1024
