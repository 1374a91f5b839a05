"""Ordering keys within a partition: one of a key goes, the others wait, whatever becomes of the one and of its reader."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from orcastra_kafka.classic.ledger import HEADS, read, width, write
from orcastra_kafka.classic.part import DONE, MOVED, Part
from orcastra_kafka.classic.window import WINDOW, Window


@attrs.frozen
class Record:
    offset: int
    key: bytes
    headers: Sequence[tuple[str, bytes]]


def record(offset: int, order: str | None, name: str = "", level: int = 0) -> Record:
    headers = [] if order is None else [("order", order.encode()), ("level", str(level).encode())]
    return Record(offset, (name or f"{offset}").encode().rjust(16), headers)


def part(*records: Record, word: tuple[int, str] = (0, "")) -> Part:
    made = Part(("t", 0), 1, *word, levels=(1, 0, -1))
    made.add(one for one in records if one.offset >= word[0])
    return made


def offsets(of: Part, limit: int = 10, level: int = 0) -> list[int]:
    return [one.offset for one in of.take(limit, level)]


def test_one_of_a_key_goes_and_others_do_not_wait() -> None:
    mine = part(record(0, "a"), record(1, "a"), record(2, "b"), record(3, None), record(4, "a"))
    assert offsets(mine) == [0, 2, 3]
    assert offsets(mine) == []
    mine.settle({0: DONE})
    assert offsets(mine) == [1]
    mine.settle({1: DONE, 2: DONE, 3: DONE})
    assert offsets(mine) == [4]
    mine.settle({4: DONE})
    assert mine.window == Window(5)


def test_a_retry_keeps_its_turn() -> None:
    mine = part(record(0, "a"), record(1, "a"))
    assert offsets(mine) == [0]
    mine.settle({0: mine.retried(0)})
    assert offsets(mine) == [0]
    mine.settle({0: mine.released(0)})
    assert offsets(mine) == [0]


def test_whoever_takes_over_begins_with_the_same() -> None:
    log = record(0, "a"), record(1, "a"), record(2, "b")
    mine = part(*log)
    assert offsets(mine) == [0, 2]
    mine.settle({2: DONE})
    heir = part(*log, word=mine.commit())
    assert offsets(heir) == [0]
    heir.settle({0: DONE})
    assert offsets(heir) == [1]


def test_what_was_moved_keeps_its_turn_until_it_is_back_and_over() -> None:
    log = [record(0, "a", "x"), record(1, "a"), record(2, "a")]
    mine = part(*log)
    assert offsets(mine) == [0]
    mine.settle({0: MOVED})
    assert mine.window.base == 1
    assert offsets(mine) == []
    back = record(3, "a", "x")
    mine.add([back])
    assert offsets(mine) == [3]
    mine.settle({3: mine.retried(3)})
    assert offsets(mine) == [3]
    mine.settle({3: DONE})
    assert offsets(mine) == [1]


def test_whoever_takes_over_waits_for_what_was_moved() -> None:
    log = [record(0, "a", "x"), record(1, "a"), record(2, "b")]
    mine = part(*log)
    assert offsets(mine) == [0, 2]
    mine.settle({0: MOVED})
    heir = part(*log, word=mine.commit())
    assert offsets(heir) == [2]
    log.append(record(3, "a", "x"))
    heir.add(log[-1:])
    assert offsets(heir) == [3]
    third = part(*log, word=heir.commit())
    assert offsets(third) == [2, 3], "it is its turn still"
    third.settle({3: DONE})
    assert offsets(third) == [1]
    assert offsets(part(*log, word=third.commit())) == [1, 2], "and that is over"


def test_what_is_back_before_its_moved_waits_for_that() -> None:
    mine = part(record(0, "a", "x"), record(1, "a"), record(2, "a", "x"))
    assert offsets(mine) == [0]
    mine.settle({0: MOVED})
    assert offsets(mine) == [2]
    mine.settle({2: DONE})
    assert offsets(mine) == [1]


def test_a_transaction_says_what_will_be() -> None:
    mine = part(record(0, "a", "x"), record(1, "a"))
    assert offsets(mine) == [0]
    foretold = mine.commit({0: MOVED})
    mine.settle({0: MOVED}, told=True)
    assert mine.commit() == foretold


def test_priorities_of_one_topic() -> None:
    mine = part(record(0, "a"), record(1, "b", level=1), record(2, "b"), record(3, "c", level=7))
    assert offsets(mine, level=1) == [1]
    assert offsets(mine) == [0, 3], "a priority that nobody asks for is as good as none"
    mine.settle({1: DONE})
    assert offsets(mine) == [2]


def test_those_that_wait_do_not_keep_others_from_being_read() -> None:
    mine = part(*(record(n, "a") for n in range(5000)))
    assert len(mine) == 1
    assert not mine.full


def test_a_commit_has_room_for_them() -> None:
    heads = {n.to_bytes(8, "big"): bytes([n % 256]) * 6 for n in range(2 * HEADS)}
    most = width(len(heads))
    assert 4000 < most < width(0) == WINDOW * 3 // 4
    window = Window(7)
    window.finish(range(8, 7 + most, 2))
    text = write(window, {}, heads)
    assert len(text) <= 4096
    assert read(7, text) == (window, {}, dict(list(heads.items())[-HEADS:]))
