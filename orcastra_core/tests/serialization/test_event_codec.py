"""Events to their records and back; the vectors are in test_wire_format_page."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orcastra_core.model.counts import Counts
from orcastra_core.model.errors import DeserializationError, SerializationError
from orcastra_core.model.event import Event, EventKind
from orcastra_core.model.ids import TaskId, text_of
from orcastra_core.model.names import QueueName, SessionId
from orcastra_core.model.session import Lost
from orcastra_core.serialization.event_codec import EventWriter, decode_events, encode_event, lost

bounded = settings(max_examples=200, deadline=None, derandomize=True)
ID = TaskId("01920f5e-7c00-7a3b-8d4e-5f60718293a4")

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
events = st.builds(
    Event,
    kind=st.sampled_from(EventKind),
    at=st.floats(0, 253402300799),
    task_id=st.none() | st.binary(min_size=16, max_size=16).map(text_of),
    attempt=st.integers(0, 2**40),
    session=st.none() | texts,
    detail=st.dictionaries(
        texts, st.none() | st.integers() | st.booleans() | texts | st.lists(texts, max_size=3), max_size=4
    ),
)


@bounded
@given(st.lists(events, max_size=6))
def test_a_sequence_is_read_as_it_was_written(sequence: list[Event]) -> None:
    assert decode_events(b"".join(map(encode_event, sequence))) == sequence


@pytest.mark.parametrize("attempt", [0, 1, 23, 24, 70000])
def test_the_writer_writes_what_the_codec_writes(attempt: int) -> None:
    session = SessionId("s-17")
    writer = EventWriter(session)
    assert writer.completed(ID, 1.5, attempt) == encode_event(Event(EventKind.COMPLETED, 1.5, ID, attempt, session))
    for _ in range(2):  # the second is from what was kept
        assert writer.submitted(ID, 2.5, "mail", "shop.greet") == encode_event(
            Event(EventKind.SUBMITTED, 2.5, ID, 0, session, {"queue": "mail", "task": "shop.greet"})
        )
    assert writer.event(
        EventKind.RETRIED, 3.5, ID, attempt, error="ValueError", after=1.0, reason=None
    ) == encode_event(Event(EventKind.RETRIED, 3.5, ID, attempt, session, {"error": "ValueError", "after": 1.0}))
    assert writer.event(EventKind.WORKER_LEFT, 4.5) == encode_event(Event(EventKind.WORKER_LEFT, 4.5, session=session))


def test_a_client_writes_without_a_session() -> None:
    (event,) = decode_events(EventWriter().submitted(ID, 1.0, "q", "t"))
    assert event == Event(EventKind.SUBMITTED, 1.0, ID, 0, None, {"queue": "q", "task": "t"})


def test_the_writer_keeps_few_names() -> None:
    writer = EventWriter()
    for number in range(3000):
        (event,) = decode_events(writer.submitted(ID, 1.0, f"q{number}", "t"))
        assert event.detail == {"queue": f"q{number}", "task": "t"}
    assert len(writer._submitted) <= 1024


def test_a_lost_delivery() -> None:
    record = lost(Lost(ID, QueueName("mail"), Counts(3, 2, 1), SessionId("s1")), at=9.0)
    assert decode_events(record) == [Event(EventKind.LOST, 9.0, ID, 3, SessionId("s1"), {"queue": "mail", "lost": 2})]


def test_the_text_of_an_error_never_stands_in_the_way() -> None:
    record = EventWriter().event(EventKind.DEAD, 1.0, ID, reason="a\ud800b")
    assert decode_events(record)[0].detail == {"reason": "a\\ud800b"}


def test_kinds_and_elements_of_a_later_version_are_skipped() -> None:
    known = [5, 1.0, None, 0, None, None]
    raw = (
        cbor2.dumps([99, 1.0, None, 0, None, None])
        + cbor2.dumps([*known, "more"])
        + cbor2.dumps([77, None, 1, 2, 3, 4])
    )
    assert decode_events(raw) == [Event(EventKind.COMPLETED, 1.0)]


def test_nothing_is_no_events() -> None:
    assert decode_events(b"") == []


GOOD: list[Any] = [5, 1.0, b"0123456789abcdef", 0, "s", {"a": 1}]


@pytest.mark.parametrize(
    "item, why",
    [
        ({}, r"expected \[kind, at, id, attempt, session, detail\]"),
        (GOOD[:5], "event at byte \\d+: expected"),
        (["5", *GOOD[1:]], "the kind is not a number"),
        ([True, *GOOD[1:]], "the kind is not a number"),
        ([0, *GOOD[1:]], "the kind is not a number"),
        ([5, "now", *GOOD[2:]], "expected Unix seconds"),
        ([5, float("nan"), *GOOD[2:]], "expected Unix seconds"),
        ([5, 1.0, b"short", *GOOD[3:]], "the id is not 16 bytes"),
        ([*GOOD[:3], -1, *GOOD[4:]], "the attempt is not a number"),
        ([*GOOD[:4], 7, None], "the session is not text"),
        ([*GOOD[:5], [1]], "the detail is not a map"),
        ([*GOOD[:5], {1: 1}], "the detail is not a map"),
    ],
)
def test_unreadable_records_say_why(item: Any, why: str) -> None:
    with pytest.raises(DeserializationError, match=why):
        decode_events(cbor2.dumps(item))
    with pytest.raises(DeserializationError, match=why):
        decode_events(cbor2.dumps(GOOD) + cbor2.dumps(item))


def test_what_has_no_wire_form_is_named() -> None:
    with pytest.raises(SerializationError, match=r"event detail 'why'\['x'\]: a object cannot be serialized"):
        EventWriter().event(EventKind.DEAD, 1.0, ID, why={"x": object()})
    with pytest.raises(SerializationError, match="event: 'nonsense' is not a task id"):
        encode_event(Event(EventKind.DEAD, 1.0, TaskId("nonsense")))
