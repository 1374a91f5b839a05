"""Who holds what: one session at a time, each delivery settled once, and never again after its end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from orcastra_conformance.history.index import Lives
from orcastra_conformance.history.lives import Hold, Settling, Span
from orcastra_conformance.history.records import Record, Settle
from orcastra_conformance.history.telling import short
from orcastra_core.model.settlement import STALE


def one_holder(records: Sequence[Record]) -> list[str]:
    """Find tasks that two sessions held at once, or one session under two receipts."""
    lives = Lives(records)
    return [
        f"{short(one.id)} was handed out to {other.session} (record {other.at.begin:g}) "
        f"while {one.session} held it (record {one.at.begin:g})"
        for holds in lives.holds_of().values()
        for one, other in combinations(holds, 2)
        if _overlap(one, other) and not (one.session == other.session and one.session in lives.unseen)
    ]


def _overlap(one: Hold, other: Hold) -> bool:
    """Whether no order of effects keeps the two apart."""
    return one.may_end > other.at.end and other.may_end > one.at.end


def settled_once(records: Sequence[Record], *, fenced: bool = True) -> list[str]:
    """Find settlements that took effect and should not have, that should have and did not, and what comes after an end.

    Args:
        records: A history.
        fenced: Whether the broker claims to refuse what a reaped session says.
    """
    lives = Lives(records)
    found = [*_different_answers(records, lives)]
    for hold in lives.holds:
        found += _judged(hold, lives, fenced=fenced)
    for task_id, holds in lives.holds_of().items():
        for hold in holds:
            found += [
                f"{short(task_id)} was handed out (record {hold.at.begin:g}) after its end (record {end.begin:g})"
                for end in lives.ends.get(task_id, ())
                if end.before(hold.at) and not _reborn(lives, hold, end)
            ]
    return found


def _judged(hold: Hold, lives: Lives, *, fenced: bool) -> Iterator[str]:
    name = short(hold.id)
    done = [one for one in hold.settlings if one.done]
    for late in done[1:]:
        yield f"{name} was settled twice (records {done[0].calls[0]} and {late.calls[0]})"
    for one in hold.settlings:
        gone = hold.gone is not None and hold.gone.begin < one.at.end
        if one.answer is STALE and not gone and not _settled_before(hold, one) and hold.session not in lives.unseen:
            yield f"{name} was held by {hold.session}, but its settlement was STALE (record {one.calls[0]})"
        if one.done and fenced and hold.gone is not None and hold.gone.before(one.at):
            how = "left" if hold.how == {"Leave"} else "was reaped"
            yield (
                f"{name} was settled by {hold.session} (record {one.calls[0]}) "
                f"after that session {how} (record {hold.gone.begin:g})"
            )


def _settled_before(hold: Hold, late: Settling) -> bool:
    """Whether another settlement of the delivery may have come first."""
    return any(
        one is not late and one.may_be_done and (one.at.begin < late.at.end or one.at == late.at)
        for one in hold.settlings
    )


def _reborn(lives: Lives, hold: Hold, end: Span) -> bool:
    """Whether it may have been put back, or stored anew, between its end and a hand-over."""
    again = [*lives.reborn.get(hold.id, ())]
    again += [one.at for one in lives.sent if one.envelope.id == hold.id and one.may_be_stored and _new(one.at, end)]
    return any(moment.begin < hold.at.end and moment.end > end.begin for moment in again)


def _new(sent: Span, end: Span) -> bool:
    return sent.begin > end.end


def _different_answers(records: Sequence[Record], lives: Lives) -> Iterator[str]:
    """Find repeats of a number that got other answers, but for STALE after a reap."""
    calls: dict[tuple[str, int], list[Settle]] = {}
    for record in records:
        if isinstance(record, Settle) and record.answer is not None:
            calls.setdefault((record.session, record.number), []).append(record)
    gone = {hold.session: hold.gone for hold in lives.holds if hold.gone is not None}
    for (session, number), same in calls.items():
        for again in same[1:]:
            over = gone.get(same[0].session)
            if again.answer != same[0].answer and (over is None or over.begin > again.end):
                yield (
                    f"{session} repeated #{number} and got other answers (records {same[0].begin} and {again.begin})"
                )
