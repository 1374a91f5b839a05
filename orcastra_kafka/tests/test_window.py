"""Which offsets are done, and how that is written into a commit."""

from __future__ import annotations

import random

import pytest

from orcastra_kafka.classic.ledger import HELD, Mark, read, write
from orcastra_kafka.classic.window import WINDOW, Window


def test_the_watermark_moves_over_what_is_done_in_a_row() -> None:
    window = Window(10)
    window.finish([12, 13])
    assert window.base == 10
    assert [offset for offset in range(8, 16) if offset in window] == [8, 9, 12, 13]
    window.finish([10])
    assert window.base == 11
    window.finish([11])
    assert (window.base, window.bits) == (14, 0)


def test_what_is_below_the_watermark_stays_done() -> None:
    window = Window(5)
    window.finish([3, 4])
    assert (window.base, window.bits) == (5, 0)


def test_holes_in_the_log_are_done() -> None:
    window = Window(5)
    window.skip(7, 9)
    assert window.base == 5
    window.finish([5, 6])
    assert window.base == 9
    window.skip(3, 12)
    assert window.base == 12


@pytest.mark.parametrize("seed", range(5))
def test_any_order_ends_at_the_end(seed: int) -> None:
    offsets = list(range(100, 3100))
    random.Random(seed).shuffle(offsets)
    window, done = Window(100), set[int]()
    while offsets:
        batch, offsets = offsets[:37], offsets[37:]
        window.finish(batch)
        done.update(batch)
        assert window.base == min(set(range(100, 3101)) - done)
    assert window == Window(3100)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_a_full_window_fits_into_a_commit(share: float) -> None:
    rng = random.Random(1)
    window = Window(123_456_789)
    window.finish([window.base + n for n in range(1, WINDOW) if rng.random() < share])
    marks = {window.base: Mark(held=True, lost=2), window.base + 3: Mark(attempt=1)}
    text = write(window, marks)
    assert len(text) <= 4096
    assert read(window.base, text) == (window, marks, {})


def test_without_room_the_plainest_marks_go_first() -> None:
    rng = random.Random(1)
    window = Window(7)
    window.finish([window.base + n for n in range(1, WINDOW) if rng.random() < 0.5])
    free = [offset for offset in range(window.base, window.base + WINDOW) if offset not in window]
    told = {offset: Mark(attempt=rng.randrange(1, 9)) for offset in rng.sample(free, 20)}
    marks = dict.fromkeys(rng.sample(free, 2000), HELD) | told
    text = write(window, marks)
    assert len(text) <= 4096
    found, kept, _ = read(window.base, text)
    assert found == window
    assert kept == told


@pytest.mark.parametrize("text", [None, "", "o1", "o1r", "o1z!!", "o2rabc", "somebody else's", "o1r" + "~" * 20])
def test_the_metadata_of_others_says_nothing(text: str | None) -> None:
    assert read(42, text) == (Window(42), {}, {})


def test_metadata_of_another_offset_says_nothing() -> None:
    window = Window(10)
    window.finish([12])
    assert read(11, write(window, {10: HELD})) == (Window(11), {}, {})
