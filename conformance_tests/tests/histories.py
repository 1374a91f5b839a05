"""Histories written by hand, a line a call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orcastra_conformance.history import records
from orcastra_conformance.history.records import Record
from orcastra_core.model.counts import Counts
from orcastra_core.model.delivery import Delivery
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.ids import TaskId, text_of
from orcastra_core.model.names import SessionId, queue_name, task_name
from orcastra_core.model.published import STORED, Published
from orcastra_core.model.result import Absence, ErrorInfo, Outcome, Result
from orcastra_core.model.session import Lost, Swept
from orcastra_core.model.settlement import (
    DONE,
    Complete,
    Dead,
    Done,
    Release,
    Retry,
    Settled,
    Settlement,
)

ERROR = ErrorInfo("builtins.ValueError")


def id_of(name: str) -> TaskId:
    """Return the id of a task that the story calls by a letter or two."""
    return text_of(name.encode().rjust(16, b"\0"))


def task(name: str, **fields: Any) -> Envelope:
    """Return the envelope of a task."""
    return Envelope(id_of(name), queue_name("q"), task_name("t"), b"", **fields)


def delivery(name: str, receipt: int, attempt: int = 0, lost: int = 0, released: int = 0) -> Delivery:
    """Return a hand-over of a task."""
    return Delivery(task(name), receipt, Counts(attempt, lost, released))


def complete(of: Delivery, value: bytes = b"\x01", emit: Sequence[Envelope] = ()) -> Complete:
    return Complete(of, Result(of.envelope.id, Outcome.COMPLETED, value), emit)


def dead(of: Delivery) -> Dead:
    return Dead(of, "no", ERROR, Result(of.envelope.id, Outcome.FAILED, error=ERROR))


def retry(of: Delivery) -> Retry:
    return Retry(of, 0.0, ERROR)


def release(of: Delivery) -> Release:
    return Release(of)


class Story:
    """Records in the making. Each call begins and ends after the one before, unless ``at`` says otherwise.

    Attributes:
        records: What happened.
    """

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._last = 0

    def publish(
        self, *envelopes: Envelope | str, answer: Sequence[Published] | None = (), at: tuple[int, int] | None = None
    ) -> Story:
        """Publish; all are Stored unless ``answer`` says otherwise; None: it failed."""
        sent = tuple(task(one) if isinstance(one, str) else one for one in envelopes)
        answers = None if answer is None else tuple(answer or [STORED] * len(sent))
        return self._add(records.Publish, at, envelopes=sent, answer=answers)

    def fetch(self, session: str, *got: Delivery, failed: bool = False, at: tuple[int, int] | None = None) -> Story:
        answer = None if failed else got
        return self._add(records.HandOut, at, session=SessionId(session), asked=10, answer=answer)

    def settle(
        self,
        session: str,
        *batch: Settlement,
        number: int = 1,
        answer: Sequence[Settled] | None = (),
        at: tuple[int, int] | None = None,
    ) -> Story:
        """Settle; all are Done unless ``answer`` says otherwise; None: it failed."""
        answers = None if answer is None else tuple(answer or [_done(item) for item in batch])
        return self._add(records.Settle, at, session=SessionId(session), number=number, batch=batch, answer=answers)

    def expire(self, session: str, handed: int = 1, at: tuple[int, int] | None = None) -> Story:
        return self._add(records.Expire, at, session=SessionId(session), answer=handed)

    def sweep(self, session: str, *lost: str) -> Story:
        reaped = SessionId(session)
        gone = [Lost(id_of(name), queue_name("q"), Counts(0, 1, 0), reaped) for name in lost]
        return self._add(records.Sweep, None, answer=Swept([reaped], gone))

    def leave(self, session: str, at: tuple[int, int] | None = None) -> Story:
        return self._add(records.Leave, at, session=SessionId(session))

    def cancel(self, name: str, answer: Any) -> Story:
        return self._add(records.Cancel, None, ids=(id_of(name),), answer=(answer,))

    def replay(self, name: str, answer: Published | None = STORED) -> Story:
        return self._add(records.Replay, None, ids=(id_of(name),), answer=(answer,))

    def purge(self, number: int) -> Story:
        return self._add(records.Purge, None, queue=queue_name("q"), states=("ready",), answer=number)

    def read(self, name: str, found: Result | Absence) -> Story:
        return self._add(records.Read, None, ids=(id_of(name),), answer=(found,))

    def push(self, *results: Result) -> Story:
        return self._add(records.Push, None, channel="feed", answer=results)

    def _add(self, kind: type[Any], at: tuple[int, int] | None, **fields: Any) -> Story:
        begin, end = at or (self._last + 1, self._last + 2)
        self._last = max(self._last, end)
        failed = "CancelledError" if "answer" in fields and fields["answer"] is None else ""
        self.records.append(kind(begin=begin, end=end, failed=failed, **fields))
        return self


def _done(item: Settlement) -> Done:
    emit = item.emit if isinstance(item, (Complete, Dead)) else ()
    return Done([STORED] * len(emit)) if emit else DONE
