"""The counts: they grow as the settlements and the reaps say, and not otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from orcastra_conformance.history.index import Lives
from orcastra_conformance.history.lives import Hold
from orcastra_conformance.history.records import Record
from orcastra_conformance.history.telling import shown
from orcastra_core.model.counts import FRESH, Counts
from orcastra_core.model.settlement import Moved, Release, Retry


def counts(records: Sequence[Record]) -> list[str]:
    """Find hand-overs whose counts do not follow from what became of the one before."""
    lives = Lives(records)
    hidden = bool(lives.unseen)
    found: list[str] = []
    for task_id, holds in lives.holds_of().items():
        starts = {one.envelope.counts for one in lives.sent if one.envelope.id == task_id and one.may_be_stored}
        if task_id in lives.reborn:
            starts.add(FRESH)
        moved = any(isinstance(one.item, Moved) for hold in holds for one in hold.settlings)
        if not _fits(holds[0].delivery.counts, starts, hidden=hidden):
            found.append(
                f"{shown(holds[0].delivery)} was first handed out (record {holds[0].at.begin:g}) "
                f"with other counts than it was published with"
            )
        for before, after in pairwise(holds):
            allowed = _after(before)
            if moved or task_id in lives.reborn:
                allowed |= starts
            if allowed and not _fits(after.delivery.counts, allowed, hidden=hidden):
                found.append(
                    f"{shown(after.delivery)} was handed out (record {after.at.begin:g}), but after "
                    f"{shown(before.delivery)} (record {before.at.begin:g}) it ought to be "
                    f"{' or '.join(sorted(map(_numbers, allowed)))}"
                )
    return found


def _after(hold: Hold) -> set[Counts]:
    """Return what the counts may be at the next hand-over; empty where the records do not say why there is one."""
    old = hold.delivery.counts
    wishes = [hold.settled] if hold.settled is not None else [one for one in hold.settlings if one.answer is None]
    allowed: set[Counts] = set()
    for one in wishes:
        if isinstance(one.item, Retry):
            allowed.add(old.retried())
        elif isinstance(one.item, Release):
            allowed.add(old.handed_back())
    if hold.settled is None:
        allowed |= {old.handed_back() if how == "Leave" else old.bereaved() for how in hold.how}
    return allowed


def _fits(got: Counts, allowed: set[Counts], *, hidden: bool) -> bool:
    """Whether counts are among those allowed, or could be after hand-overs that nobody saw."""
    if got in allowed:
        return True
    return hidden and any(
        got.attempt == old.attempt
        and (got.released > old.released or (got.released == old.released and got.lost > old.lost))
        for old in allowed
    )


def _numbers(of: Counts) -> str:
    return f"{of.attempt}/{of.lost}/{of.released}"


__all__ = ["counts"]
