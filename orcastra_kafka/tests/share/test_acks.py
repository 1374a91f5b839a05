"""Acknowledgements in rows, and the search for those at fault."""

from __future__ import annotations

import pytest

from orcastra_kafka.share.acks import Ack, AckType, Narrowing, rows_of
from orcastra_kafka.share.private import check_version

HERE, THERE = (b"t" * 16, 0), (b"t" * 16, 1)


def _acks(*offsets: int, kind: AckType = AckType.ACCEPT) -> list[Ack]:
    return [Ack(HERE, offset, kind) for offset in offsets]


def test_consecutive_offsets_of_one_kind_become_a_row() -> None:
    acks = [*_acks(9, 3, 1, 2), *_acks(4, 5, kind=AckType.RELEASE), *_acks(6, kind=AckType.GAP)]
    assert rows_of(acks) == [(1, 3, (1,)), (4, 5, (2,)), (6, 6, (0,)), (9, 9, (1,))]


def test_no_acknowledgements_are_no_rows() -> None:
    assert rows_of([]) == []


@pytest.mark.parametrize("bad", [{0}, {6}, {1, 2}, {0, 3, 6}, set(range(7))])
def test_those_at_fault_are_found_and_only_they_fail(bad: set[int]) -> None:
    narrowing = Narrowing()
    narrowing.split(_acks(*range(7)))
    good: list[int] = []
    failed: list[int] = []
    while narrowing:
        group = narrowing.next()
        if not bad.intersection(ack.offset for ack in group):
            good += [ack.offset for ack in group]
        elif len(group) > 1:
            narrowing.split(group)
        else:
            failed += [ack.offset for ack in group]
    assert sorted(failed) == sorted(bad)
    assert sorted(good) == sorted(set(range(7)) - bad)


def test_partitions_are_narrowed_down_side_by_side() -> None:
    narrowing = Narrowing()
    narrowing.split(_acks(1, 2))
    narrowing.split([Ack(THERE, offset, AckType.ACCEPT) for offset in (1, 2)])
    assert {(ack.partition, ack.offset) for ack in narrowing.next()} == {(HERE, 1), (THERE, 1)}
    assert {(ack.partition, ack.offset) for ack in narrowing.drain()} == {(HERE, 2), (THERE, 2)}
    assert not narrowing


def test_another_aiokafka_is_refused_by_name() -> None:
    check_version("0.14.7")
    with pytest.raises(ImportError, match=r"aiokafka 0\.14\.x, and 0\.15\.0 is installed"):
        check_version("0.15.0")
