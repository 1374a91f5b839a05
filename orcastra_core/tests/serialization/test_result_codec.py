"""Results to their wire form and back; the vectors are in test_wire_format_page."""

from __future__ import annotations

import math
from typing import Any

import attrs
import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orcastra_core.model.errors import DeserializationError, SerializationError
from orcastra_core.model.ids import TaskId, text_of
from orcastra_core.model.result import ErrorInfo, Outcome, Result
from orcastra_core.serialization import result_codec
from orcastra_core.serialization.result_codec import decode_result, encode_result

bounded = settings(max_examples=250, deadline=None, derandomize=True)
DONE = Result(TaskId("01920f5e-7c00-7a3b-8d4e-5f60718293a4"), Outcome.COMPLETED, b"\x18\x2a", ended_at=1.7e9)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
results = st.builds(
    Result,
    id=st.binary(min_size=16, max_size=16).map(text_of),
    outcome=st.sampled_from(Outcome),
    value=st.binary(max_size=300) | st.integers(0, 70000).map(bytes),
    content_type=st.just("application/cbor") | st.just("application/json"),
    error=st.none() | st.builds(ErrorInfo, texts, texts, texts, st.booleans()),
    ended_at=st.floats(0, 253402300799),
    ttl=st.floats(0, 1e9),
)
completed = st.builds(
    Result,
    id=st.binary(min_size=16, max_size=16).map(text_of),
    outcome=st.just(Outcome.COMPLETED),
    value=st.binary(max_size=300) | st.sampled_from([bytes(n) for n in (0, 23, 24, 255, 256, 65535, 65536)]),
    ended_at=st.floats(0, 253402300799),
    ttl=st.floats(0, 1e9),
)


@bounded
@given(results | completed)
def test_what_was_written_is_read(result: Result) -> None:
    raw = encode_result(result)
    assert decode_result(raw) == result
    assert cbor2.loads(raw)[2] == result.outcome


@bounded
@given(completed)
def test_both_ways_of_writing_and_reading_agree(result: Result) -> None:
    raw = encode_result(result)
    assert raw == result_codec._encode_any(result)
    assert decode_result(raw) == result_codec._decode_any(raw)


def test_an_error_is_written_whatever_its_text_holds() -> None:
    failed = attrs.evolve(DONE, outcome=Outcome.FAILED, value=b"", error=ErrorInfo("E\udc80", "a\ud800b", "\udfff"))
    assert decode_result(encode_result(failed)).error == ErrorInfo("E\\udc80", "a\\ud800b", "\\udfff")


def test_keys_of_a_later_version_are_ignored() -> None:
    wire = cbor2.loads(encode_result(DONE)) | {8: ["new"], 99: None}
    assert decode_result(cbor2.dumps(wire)) == DONE


def changed(**keys: Any) -> bytes:
    wire = cbor2.loads(encode_result(DONE)) | {int(name[1:]): value for name, value in keys.items()}
    return cbor2.dumps({key: value for key, value in wire.items() if value is not ...})


@pytest.mark.parametrize(
    "raw, why",
    [
        (b"", "the data ends"),
        (b"\x80", "no result: expected a CBOR map that begins with its version"),
        (b"\xa0", "no result"),
        (cbor2.dumps({1: 0, 0: 1}), "no result"),
        (changed(k0=2), "result version 2 is unknown to this release, which reads 1"),
        (changed(k0=2**40000), "result version a int is unknown"),
        (changed(k0=True), "result version True is unknown"),
        (changed(k1=...), "result: id is missing"),
        (changed(k2=...), "result: outcome is missing"),
        (changed(k3=...), "result: ended_at is missing"),
        (changed(k4=...), "result: ttl is missing"),
        (changed(k1=b"1"), "result: id: expected 16 bytes"),
        (changed(k2=3), "result: outcome: 3 is not a valid Outcome"),
        (changed(k2=False), "result: outcome: expected a number"),
        (changed(k3=math.nan), "result: ended_at: expected Unix seconds"),
        (changed(k4=-1.0), "result: ttl: expected seconds"),
        (changed(k5="text"), "result: value: expected a byte string"),
        (changed(k6="nonsense"), "result: content_type: expected a media type"),
        (changed(k7=["E", "m", "t"]), r"result: error: expected \[type, message, traceback, retryable\]"),
        (changed(k7=["E", "m", None, False]), "result: error: expected"),
        (changed() + b"\x00", "1 bytes follow"),
        (changed()[:-1], "the data ends"),
    ],
)
def test_unreadable_results_say_why(raw: bytes, why: str) -> None:
    with pytest.raises(DeserializationError, match=why):
        decode_result(raw)


@pytest.mark.parametrize(
    "fields, why",
    [
        ({"id": "x"}, "result: id: 'x' is not a task id"),
        ({"outcome": 9}, "result: outcome: 9 is not a valid Outcome"),
        ({"ended_at": math.inf}, "result: ended_at: expected Unix seconds"),
        ({"ttl": -1.0}, "result: ttl: expected seconds"),
        ({"value": "text"}, "result: value: expected a byte string"),
        ({"content_type": ""}, "result: content_type: expected a media type"),
    ],
)
def test_what_has_no_wire_form_is_named(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(SerializationError, match=why):
        encode_result(attrs.evolve(DONE, **fields))
