"""Schedules as records: whole, with other moments, and what is none of ours."""

from __future__ import annotations

import attrs
import pytest
from schedule_rig import deferred, recurring

from orcastra_core.model.errors import DeserializationError
from orcastra_core.model.schedule import Misfire, ScheduleId
from orcastra_kafka.schedule.records import head, key_of, moved, pack, same, unpack
from orcastra_kafka.schedule.table import Table


def test_a_schedule_is_kept_whole() -> None:
    schedule = attrs.evolve(
        recurring("s:ü/1", misfire=Misfire.ALL, grace=7.5, paused=True), trigger="cron:0 4 * * * Europe/Berlin"
    )
    assert unpack(key_of(schedule.id), pack(schedule)) == schedule


def test_moments_change_and_the_rest_stays() -> None:
    schedule = recurring("s")
    value = moved(pack(schedule), due=5.0, look=9.0)
    assert (head(value).due, head(value).look, head(value).paused) == (5.0, 9.0, False)
    assert unpack(b"s", value) == attrs.evolve(schedule, due=5.0)


def test_what_recurs_is_the_same_whenever_a_program_makes_it_and_another_with_other_arguments() -> None:
    first, again = recurring("s"), recurring("s", seconds=99)
    assert first.envelope.id != again.envelope.id
    assert same(first, again)
    assert not same(first, attrs.evolve(again, trigger="interval:61"))
    assert not same(first, attrs.evolve(again, envelope=attrs.evolve(again.envelope, body=b"\x81\x01")))
    assert not same(once := deferred(), once), "what fires once is replaced"


@pytest.mark.parametrize("value", [b"", b"\x01", b"{}" * 20, b"\x02" + bytes(40), b"\x01" + bytes(40)])
def test_what_is_none_of_ours_is_refused(value: bytes) -> None:
    with pytest.raises(DeserializationError):
        unpack(b"s", value)


def test_keys_are_in_the_order_of_ids() -> None:
    ids = [ScheduleId(name) for name in ("", "a", "a1", "b", "ä", "€", "\uffff", "\U0001f600")]
    assert sorted(map(key_of, ids)) == [key_of(one) for one in sorted(ids)]


def test_an_older_record_changes_nothing_and_one_that_cannot_be_read_is_none() -> None:
    table, now = Table(0.0), 0.0
    value = pack(recurring("s"))
    table.apply(5, b"s", value, now)
    table.apply(4, b"s", None, now)
    assert b"s" in table
    table.apply(6, b"s", b"of a later release", now)
    assert b"s" not in table
    assert table.page(None, 10) == []
