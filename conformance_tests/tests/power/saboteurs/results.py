"""Faults in results."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
import pytest

from orcastra_core.backends.memory.feed_state import FeedState
from orcastra_core.backends.memory.ledger import Ledger
from orcastra_core.backends.memory.results import MemoryFeed, MemoryResults
from orcastra_core.backends.memory.session_state import SessionState
from orcastra_core.backends.memory.store import Store
from orcastra_core.interfaces.results import ResultFeed
from orcastra_core.model.ids import TaskId
from orcastra_core.model.result import Absence, Outcome, Result
from orcastra_core.model.settlement import Complete, Dead, Done, Moved, Retry, Settled, Settlement
from power.saboteur import saboteur
from power.spoiling import change_answers, nothing


def _change_results(patch: pytest.MonkeyPatch, change: Callable[[Result], Result]) -> None:
    finish = Ledger.finish

    def changed(self: Ledger, results: dict[float, list[Result]], now: float) -> None:
        finish(self, {ttl: [change(result) for result in batch] for ttl, batch in results.items()}, now)

    patch.setattr(Ledger, "finish", changed)


@saboteur("results-are-text", "keeps a value as text", killed_by=("res.roundtrip",))
def _(patch: pytest.MonkeyPatch) -> None:
    _change_results(patch, lambda r: attrs.evolve(r, value=r.value.decode(errors="replace").encode()))


@saboteur("forgets-tracebacks", "keeps of an error what fits on a line", killed_by=("res.roundtrip", "set.dead"))
def _(patch: pytest.MonkeyPatch) -> None:
    _change_results(patch, lambda r: attrs.evolve(r, error=r.error and attrs.evolve(r.error, traceback="")))


@saboteur(
    "cancelled-is-failed", "knows two outcomes: a cancelled task has failed", killed_by=("res.roundtrip", "can.removed")
)
def _(patch: pytest.MonkeyPatch) -> None:
    def failed(result: Result) -> Result:
        return attrs.evolve(result, outcome=Outcome.FAILED) if result.outcome is Outcome.CANCELLED else result

    _change_results(patch, failed)


def _confuse(patch: pytest.MonkeyPatch, one: Absence, other: Absence) -> None:
    get = MemoryResults.get

    async def confused(self: MemoryResults, ids: Sequence[TaskId], /) -> Sequence[Result | Absence]:
        return [other if found is one else found for found in await get(self, ids)]

    patch.setattr(MemoryResults, "get", confused)


@saboteur("expired-is-unknown", "does not remember that a task had a result", killed_by=("res.absence",))
def _(patch: pytest.MonkeyPatch) -> None:
    _confuse(patch, Absence.EXPIRED, Absence.UNKNOWN)


@saboteur("unknown-is-pending", "calls pending what it never saw", killed_by=("res.absence",))
def _(patch: pytest.MonkeyPatch) -> None:
    _confuse(patch, Absence.UNKNOWN, Absence.PENDING)


@saboteur("pending-is-unknown", "knows a task from its result on", killed_by=("res.absence",))
def _(patch: pytest.MonkeyPatch) -> None:
    _confuse(patch, Absence.PENDING, Absence.UNKNOWN)


@saboteur("results-never-expire", "keeps results until somebody removes them", killed_by=("res.expires",))
def _(patch: pytest.MonkeyPatch) -> None:
    def get(self: Ledger, task_id: TaskId, now: float) -> Result | Absence:
        found = self.known.get(task_id)
        return found[0] if isinstance(found, tuple) else Absence.PENDING

    patch.setattr(Ledger, "get", get)


@saboteur("prunes-everything", "drops results that are still to be kept", killed_by=("res.expires",))
def _(patch: pytest.MonkeyPatch) -> None:
    retire = Ledger.retire
    patch.setattr(Ledger, "retire", lambda self, now, limit: retire(self, now + 86400.0, limit))


@saboteur("pushes-to-all", "pushes every result to every client", killed_by=("res.pushed",))
def _(patch: pytest.MonkeyPatch) -> None:
    def broadcast(self: Store, result: Result, reply: str | None) -> None:
        for feed in self.feeds.values():
            feed.push(result)

    patch.setattr(Store, "push", broadcast)


@saboteur("pushes-what-it-keeps", "does not push a result that is not kept", killed_by=("res.pushed",))
def _(patch: pytest.MonkeyPatch) -> None:
    push = Store.push

    def kept(self: Store, result: Result, reply: str | None) -> None:
        if result.ttl > 0:
            push(self, result, reply)

    patch.setattr(Store, "push", kept)


@saboteur(
    "pushes-nothing", "keeps results and leaves it to the clients to ask", killed_by=("res.pushed", "can.removed")
)
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Store, "push", nothing)


@saboteur("one-channel", "gives all clients the same channel", killed_by=("res.pushed",))
def _(patch: pytest.MonkeyPatch) -> None:
    subscribe = MemoryResults.subscribe

    async def same(self: MemoryResults) -> ResultFeed:
        feed = await subscribe(self)
        feed.channel = "results"
        return feed

    patch.setattr(MemoryResults, "subscribe", same)


@saboteur(
    "pushes-past-the-deaf",
    "pushes only to who waits at that moment",
    killed_by=("res.pushed-before-next", "can.removed"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    push = FeedState.push

    def if_heard(self: FeedState, result: Result) -> None:
        if self.waiter is not None:
            push(self, result)

    patch.setattr(FeedState, "push", if_heard)


@saboteur("pushes-successes", "pushes only the results of what was completed", killed_by=("res.pushed-before-next",))
def _(patch: pytest.MonkeyPatch) -> None:
    push = Store.push

    def good_news(self: Store, result: Result, reply: str | None) -> None:
        if result.outcome is Outcome.COMPLETED:
            push(self, result, reply)

    patch.setattr(Store, "push", good_news)


@saboteur(
    "pushes-attempts", "pushes a result for every attempt, failed ones too", killed_by=("res.pushed-before-next",)
)
def _(patch: pytest.MonkeyPatch) -> None:
    def early(store: Store, session: SessionState, item: Settlement, answer: Settled) -> Settled:
        if isinstance(item, Retry) and isinstance(answer, Done):
            task = item.delivery.envelope
            store.push(Result(task.id, Outcome.FAILED, error=item.error), getattr(task, "reply", None))
        return answer

    change_answers(patch, early)


@saboteur("feeds-never-end", "closes a feed and leaves its reader waiting", killed_by=("res.feed-close",))
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(FeedState, "close", nothing)


@saboteur("closed-feeds-are-empty", "answers [] from a feed that was closed", killed_by=("res.feed-close",))
def _(patch: pytest.MonkeyPatch) -> None:
    next_ = MemoryFeed.next

    async def quiet(self: MemoryFeed, *, wait: float) -> Sequence[Result]:
        if self._state.closed:
            return []
        return await next_(self, wait=wait)

    patch.setattr(MemoryFeed, "next", quiet)


@saboteur("pushes-the-stale", "pushes a result whose settlement came too late", killed_by=("res.stale-loses",))
def _(patch: pytest.MonkeyPatch) -> None:
    def told(store: Store, session: SessionState, item: Settlement, answer: Settled) -> Settled:
        if isinstance(item, Complete | Dead) and not isinstance(answer, Done):
            store.push(item.result, getattr(item.delivery.envelope, "reply", None))
        return answer

    change_answers(patch, told)


@saboteur("moved-is-pushed", "pushes an end for what was only moved", killed_by=("set.moved",))
def _(patch: pytest.MonkeyPatch) -> None:
    def told(store: Store, session: SessionState, item: Settlement, answer: Settled) -> Settled:
        if isinstance(item, Moved) and isinstance(answer, Done):
            task = item.delivery.envelope
            store.push(Result(task.id, Outcome.CANCELLED), getattr(task, "reply", None))
        return answer

    change_answers(patch, told)
