"""The calendar: earliest first, whatever was dropped and put back; what is far lies in hours and comes when its hour does."""

from __future__ import annotations

import random

from orcastra_kafka.schedule.calendar import HOUR, Calendar, Entry

NOW = 1_000_000.0


def entry(look: float) -> Entry:
    return Entry(look, look, 0)


def test_earliest_first_and_only_what_is_due() -> None:
    calendar = Calendar(NOW)
    entries = {f"{n}".encode(): entry(NOW + n - 5) for n in range(10)}
    for key, one in random.Random(1).sample(sorted(entries.items()), 10):
        calendar.put(key, one)
    assert [key for key, _ in calendar.due(NOW, 3)] == [b"0", b"1", b"2"]
    assert [key for key, _ in calendar.due(NOW, 9)] == [b"3", b"4", b"5"]
    assert calendar.due(NOW, 9) == []
    assert calendar.first(NOW) == NOW + 1


def test_what_was_taken_comes_back_unless_it_changed_meanwhile() -> None:
    calendar = Calendar(NOW)
    same, dropped = entry(NOW - 2), entry(NOW - 1)
    calendar.put(b"same", same)
    calendar.put(b"dropped", dropped)
    taken = calendar.due(NOW, 9)
    calendar.drop(b"dropped", dropped)
    calendar.restore(taken)
    assert calendar.due(NOW, 9) == [(b"same", same)]


def test_what_is_dropped_is_not_due_even_if_it_was_the_first() -> None:
    calendar = Calendar(NOW)
    for look in (NOW - 2, NOW + 10 * HOUR, NOW + 20 * HOUR):
        one = entry(look)
        calendar.put(b"it", one)
        calendar.drop(b"it", one)
    assert calendar.first(NOW) is None
    assert calendar.due(NOW + 100 * HOUR, 9) == []


def test_what_is_far_is_off_the_heap_until_its_hour_comes() -> None:
    calendar = Calendar(NOW)
    for n in range(1000):
        calendar.put(f"{n:04}".encode(), entry(NOW + 5 * HOUR + n))
    assert calendar.near == 0
    assert calendar.first(NOW) == NOW + 5 * HOUR
    assert calendar.first(NOW + 4.5 * HOUR) == NOW + 5 * HOUR
    assert calendar.near > 0
    assert [key for key, _ in calendar.due(NOW + 5 * HOUR + 1, 9)] == [b"0000", b"0001"]


def test_the_first_of_a_far_hour_is_known_when_others_of_it_are_dropped() -> None:
    calendar = Calendar(NOW)
    entries = [entry(NOW + 9 * HOUR + n) for n in range(5)]
    for n, one in enumerate(entries):
        calendar.put(b"%d" % n, one)
    for n in (0, 2, 1):
        calendar.drop(b"%d" % n, entries[n])
    assert calendar.first(NOW) == NOW + 9 * HOUR + 3
    calendar.put(b"0", entry(NOW + 9 * HOUR))
    assert calendar.first(NOW) == NOW + 9 * HOUR


def test_it_agrees_with_a_sorted_list() -> None:
    rng = random.Random(7)
    calendar, truth = Calendar(NOW), dict[bytes, Entry]()
    now = NOW
    for _ in range(5000):
        key = b"%d" % rng.randrange(200)
        if key in truth:
            calendar.drop(key, truth.pop(key))
        if rng.random() < 0.7:
            truth[key] = entry(now + rng.uniform(-1, 4 * HOUR))
            calendar.put(key, truth[key])
        if rng.random() < 0.1:
            now += rng.uniform(0, HOUR / 4)
            for key, one in calendar.due(now, 10**6):
                assert truth.pop(key) is one
            assert all(one.look > now for one in truth.values())
        assert calendar.first(now) == min((one.look for one in truth.values()), default=None)
