"""Task ids: the shape of RFC 9562's version 7, their order, and ids that follow from others."""

from __future__ import annotations

import os
import uuid
from itertools import pairwise

import pytest

from orcastra_core.model.errors import InvalidName
from orcastra_core.model.ids import IdFactory, TaskId, bytes_of, derived_id, parse_id, text_of

MOMENT = 1_750_000_000.123


def test_shape_of_a_uuid_7() -> None:
    task_id = IdFactory(lambda: MOMENT)()
    parsed = uuid.UUID(task_id)
    assert str(parsed) == task_id
    assert parsed.version == 7
    assert parsed.variant == uuid.RFC_4122
    assert int.from_bytes(parsed.bytes[:6], "big") == 1_750_000_000_123


def test_ordered_within_a_millisecond_and_beyond() -> None:
    moments = iter([MOMENT] * 5000 + [MOMENT + 0.001] * 5000 + [MOMENT + 60] * 10)
    new_id = IdFactory(lambda: next(moments))
    ids = [new_id() for _ in range(10_010)]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)


def test_ordered_when_the_clock_steps_back() -> None:
    moments = iter([MOMENT, MOMENT - 3600, MOMENT - 7200, MOMENT + 1])
    new_id = IdFactory(lambda: next(moments))
    ids = [new_id() for _ in range(4)]
    assert ids == sorted(ids)


def test_a_full_counter_borrows_the_next_millisecond() -> None:
    new_id = IdFactory(lambda: MOMENT, lambda n: b"\xff" * n)
    first = new_id()
    new_id._counter = (1 << 26) - 2
    ids = [first, *(new_id() for _ in range(3))]
    assert ids == sorted(ids)
    assert all(uuid.UUID(one).version == 7 and uuid.UUID(one).variant == uuid.RFC_4122 for one in ids)
    assert int.from_bytes(bytes_of(ids[-1])[:6], "big") == 1_750_000_000_124


def test_every_counter_state_is_a_valid_uuid() -> None:
    for fill in (b"\x00", b"\x55", b"\xaa", b"\xff"):
        parsed = uuid.UUID(IdFactory(lambda: MOMENT, lambda n, fill=fill: fill * n)())  # type: ignore[misc]
        assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)


def test_two_factories_of_one_millisecond_do_not_meet() -> None:
    one, other = IdFactory(lambda: MOMENT), IdFactory(lambda: MOMENT)
    assert {one() for _ in range(1000)}.isdisjoint({other() for _ in range(1000)})


def test_the_entropy_is_used_up_only_once() -> None:
    drawn = 0

    def entropy(size: int) -> bytes:
        nonlocal drawn
        drawn += 1
        return os.urandom(size)

    new_id = IdFactory(lambda: MOMENT, entropy)
    tails = [new_id()[-12:] for _ in range(2000)]
    assert len(set(tails)) == len(tails)
    assert drawn >= 2000 * 6 / (6 * 256), "the same pool of randomness was used twice"


def test_text_and_bytes() -> None:
    task_id = IdFactory()()
    assert text_of(bytes_of(task_id)) == task_id == parse_id(task_id)


@pytest.mark.parametrize(
    "text", ["", "nonsense", "01920F5E-0000-7000-8000-000000000000", "01920f5e00007000" * 2, 5, None]
)
def test_what_is_no_id(text: object) -> None:
    with pytest.raises(InvalidName, match="not a task id"):
        parse_id(text)


PARENT = TaskId("01920f5e-1234-7abc-8def-0123456789ab")


def test_a_derived_id_follows_from_parent_and_key() -> None:
    one = derived_id(PARENT, b"key", b"1")
    assert one == derived_id(PARENT, b"key", b"1")
    assert (uuid.UUID(one).version, uuid.UUID(one).variant) == (7, uuid.RFC_4122)
    assert one[:13] == PARENT[:13], "it keeps its parent's time"


def test_derived_ids_differ_where_anything_does() -> None:
    other = TaskId("01920f5e-1234-7abc-8def-0123456789ac")
    ids = {
        derived_id(PARENT),
        derived_id(PARENT, b""),
        derived_id(PARENT, b"ab", b"c"),
        derived_id(PARENT, b"a", b"bc"),
        derived_id(PARENT, b"abc"),
        derived_id(other, b"abc"),
        derived_id(derived_id(PARENT, b"abc"), b"abc"),
    }
    assert len(ids) == 7


def test_a_golden_derived_id() -> None:
    """Other languages and other releases must come to the same id."""
    import hashlib

    digest = hashlib.sha256(bytes.fromhex(PARENT.replace("-", "")))
    digest.update((3).to_bytes(8, "big") + b"key")
    tail = digest.hexdigest()[:20]
    got = derived_id(PARENT, b"key").replace("-", "")
    assert got[:12] == PARENT.replace("-", "")[:12]
    assert got[12] == "7"
    assert got[13:16] == tail[1:4]
    assert got[17:] == tail[5:]


def test_order_of_many_in_real_time() -> None:
    new_id = IdFactory()
    ids = [new_id() for _ in range(20_000)]
    assert all(one < other for one, other in pairwise(ids))
