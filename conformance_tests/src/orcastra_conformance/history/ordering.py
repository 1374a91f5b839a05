"""Order: of a queue, and of an ordering key."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations, groupby

from orcastra_conformance.history.index import Lives
from orcastra_conformance.history.lives import Hold, Sent
from orcastra_conformance.history.records import Record
from orcastra_conformance.history.telling import short
from orcastra_core.model.counts import Counts
from orcastra_core.model.published import Stored


def queue_order(records: Sequence[Record]) -> list[str]:
    """Find tasks of one queue and priority that were first handed out before others published earlier.

    Only where both were ready all the time: no delay, no ordering key, and a first hand-over that nobody
    may have had before, in a fetch that failed.
    """
    lives = Lives(records)
    first = {task_id: holds[0] for task_id, holds in lives.holds_of().items()}
    plain = [
        one
        for one in lives.sent
        if isinstance(one.answer, Stored)
        and one.envelope.due is None
        and one.envelope.order_by is None
        and one.envelope.id in first
        and _untouched(lives, first[one.envelope.id], one.envelope.counts)
    ]
    return [
        f"{short(late.envelope.id)} was handed out (record {first[late.envelope.id].at.begin:g}) before "
        f"{short(early.envelope.id)} (record {first[early.envelope.id].at.begin:g}), which was published before it"
        for group in _grouped(plain, lambda one: (one.envelope.queue, str(one.envelope.priority)))
        for early, late in combinations(group, 2)
        if _sooner(early, late) and _overtaken(first[early.envelope.id], first[late.envelope.id])
    ]


def key_order(records: Sequence[Record]) -> list[str]:
    """Find tasks that were handed out before those ahead of them in their ordering key had ended."""
    lives = Lives(records)
    holds = lives.holds_of()
    keyed = [
        one
        for one in lives.sent
        if isinstance(one.answer, Stored) and one.envelope.order_by and one.envelope.id not in lives.reborn
    ]
    found: list[str] = []
    for group in _grouped(keyed, lambda one: (one.envelope.queue, one.envelope.order_by or "")):
        for early, late in combinations(group, 2):
            if not _sooner(early, late) or late.envelope.id not in holds:
                continue
            ahead = early.envelope.id
            ends = [*lives.ends.get(ahead, ()), *lives.perhaps.get(ahead, ())]
            hold = holds[late.envelope.id][0]
            if not any(end.begin < hold.at.end for end in ends):
                found.append(
                    f"{short(late.envelope.id)} was handed out (record {hold.at.begin:g}) although {short(ahead)}, "
                    f"ahead of it in the key {late.envelope.order_by!r}, had not ended"
                )
    return found


def _grouped(sent: Iterable[Sent], key: Callable[[Sent], tuple[str, str]]) -> list[list[Sent]]:
    return [list(group) for _, group in groupby(sorted(sent, key=key), key=key)]


def _sooner(early: Sent, late: Sent) -> bool:
    """Whether one was surely published before the other."""
    return early.at.before(late.at) or (early.at == late.at and early.place < late.place)


def _untouched(lives: Lives, hold: Hold, counts: Counts) -> bool:
    """Whether it is surely the first hand-over of its task."""
    return hold.delivery.counts == counts and lives.unseen.get(hold.session, math.inf) > hold.at.end


def _overtaken(early: Hold, late: Hold) -> bool:
    return late.at.before(early.at) or (late.at == early.at and late.place < early.place)
