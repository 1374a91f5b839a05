"""Which letters a log holds, found in a bounded memory, whatever the order and however often they come and go."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial

import pytest

from orcastra_core.model.counts import Counts
from orcastra_core.model.dead_letter import DeadLetter
from orcastra_core.model.delivery import Delivery
from orcastra_core.model.envelope import Envelope, Unreadable
from orcastra_core.model.ids import IdFactory, TaskId, bytes_of
from orcastra_core.model.names import QueueName, TaskName
from orcastra_core.model.result import ErrorInfo, Outcome, Result
from orcastra_core.model.settlement import Dead
from orcastra_core.serialization.envelope_codec import encode_envelope
from orcastra_kafka.dead.letters import letter_of, record_of_dead, record_of_letter, removal
from orcastra_kafka.dead.scan import Scan
from orcastra_kafka.logs import Entry
from orcastra_kafka.producer import Record
from orcastra_kafka.publish import envelope_of
from orcastra_kafka.topics import Names, escaped, unescaped

NAMES = Names("shop")
ERROR = ErrorInfo("ValueError", "no\ud800 more", "line 1\nline 2")


def entry(record: Record, offset: int = 0) -> Entry:
    return Entry(offset, 0, record.key, record.value or b"", record.headers)


def letter(task_id: TaskId, *, queue: str = "q") -> DeadLetter:
    envelope = Envelope(task_id, QueueName(queue), TaskName("t"), b"body")
    return DeadLetter(
        id=task_id,
        queue=envelope.queue,
        envelope=envelope,
        counts=Counts(2, 1, 3),
        reason="no more",
        error=ERROR,
        at=7.25,
    )


def test_a_letter_is_read_as_it_was_written() -> None:
    written = letter(IdFactory()(), queue="Bücher/é")
    read = letter_of(entry(record_of_letter(NAMES, written)))
    assert (read.envelope, read.counts, read.reason, read.at) == (written.envelope, Counts(2, 1, 3), "no more", 7.25)
    assert read.queue == "Bücher/é"
    assert read.error.message == "no\\ud800 more", "what has no form is written down, never refused"


def test_what_a_settlement_leaves_has_the_bytes_as_they_were() -> None:
    envelope = Envelope(IdFactory()(), QueueName("q"), TaskName("t"), b"body")
    raw = encode_envelope(envelope)
    settlement = Dead(Delivery(envelope, 1, Counts(1, 0, 0)), "why", ERROR, Result(envelope.id, Outcome.FAILED))
    record = record_of_dead(NAMES, settlement, settlement.delivery, raw, 3.5)
    assert (record.value, record.key) == (raw, bytes_of(envelope.id))
    assert letter_of(entry(record)).counts == Counts(1, 0, 0)


def test_somebody_elses_records_have_ids_that_stay() -> None:
    found = [envelope_of(key, b"junk", QueueName("q")) for key in (b"short", b"short", None, b"other")]
    assert all(isinstance(one, Unreadable) and one.raw == b"junk" for one in found)
    assert found[0].id == found[1].id
    assert len({one.id for one in found}) == 3
    empty = envelope_of(None, None, QueueName("q"))
    assert isinstance(empty, Unreadable)
    assert letter_of(entry(record_of_letter(NAMES, DeadLetter(
        id=empty.id, queue=empty.queue, envelope=empty, counts=Counts(), reason="", error=ERROR, at=0.0
    )))).envelope == empty  # fmt: skip


def is_behind(after: TaskId | None, task_id: TaskId) -> bool:
    return after is None or task_id > after


def pages(log: list[Entry], room: int) -> Iterator[list[TaskId]]:
    after: TaskId | None = None
    while True:
        scan = Scan(among=partial(is_behind, after), room=room)
        for at in range(0, len(log), 7):
            scan.add(log[at : at + 7])
            assert len(scan._last) <= 2 * room, "memory is bounded"
        yield [task_id for task_id, _ in scan.letters()]
        if scan.behind is None:
            return
        after = scan.behind


@pytest.mark.parametrize("seed", range(20))
def test_any_log_in_any_room(seed: int) -> None:
    rng, new = random.Random(seed), IdFactory()
    ids = [new() for _ in range(rng.randrange(1, 120))]
    there: set[TaskId] = set()
    log: list[Entry] = []
    for offset in range(rng.randrange(1, 400)):
        one = rng.choice(ids)
        if one in there and rng.random() < 0.7:
            there.discard(one)
            log.append(entry(removal(NAMES, one, b"me"), offset))
        else:
            there.add(one)
            log.append(entry(record_of_letter(NAMES, letter(one)), offset))
    found = [task_id for page in pages(log, rng.randrange(1, 40)) for task_id in page]
    assert found == sorted(there), "each once, in order"


def test_who_removed_what() -> None:
    new = IdFactory()
    one, other = new(), new()
    scan = Scan()
    scan.add([entry(record_of_letter(NAMES, letter(task_id))) for task_id in (one, other)])
    scan.add([entry(removal(NAMES, one, b"me")), entry(Record(NAMES.dead, b"strange", b"x"))])
    assert scan.removed(b"me") == {one}
    assert scan.removed(b"him") == set()
    assert [task_id for task_id, _ in scan.letters()] == [other]


@pytest.mark.parametrize("name", ["q", "a.b_c-d", "Bücher/é", "-2d", ""])
def test_names_of_queues_are_read_back(name: str) -> None:
    assert unescaped(escaped(name)) == name


def test_long_names_stay_escaped() -> None:
    text = escaped("long-" * 60)
    assert unescaped(text) == text
