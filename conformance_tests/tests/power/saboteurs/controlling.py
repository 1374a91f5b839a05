"""Faults in cancelling, pausing, purging, inspecting and finding."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
import pytest

from orcastra_core.backends.memory import control
from orcastra_core.backends.memory.broker import MemoryBroker
from orcastra_core.backends.memory.entry import DELAYED, RUNNING, Entry, Queue
from orcastra_core.backends.memory.session_state import SessionState
from orcastra_core.backends.memory.store import Store
from orcastra_core.model.ids import TaskId
from orcastra_core.model.names import QueueName
from orcastra_core.model.queue import QueueDepth
from orcastra_core.model.task_state import Cancellation, Cancelled, State, TaskState
from power.saboteur import saboteur
from power.spoiling import nothing


@saboteur(
    "cancels-nothing",
    "says REMOVED and leaves the task where it is",
    killed_by=("can.four-answers", "can.removed", "can.delayed"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    cancel = control.cancel

    def cosmetic(store: Store, wish: Cancellation) -> Cancelled:
        entry = store.ledger.known.get(wish.id)
        waits = isinstance(entry, Entry) and entry.state != RUNNING
        return Cancelled.REMOVED if waits else cancel(store, wish)

    patch.setattr(control, "cancel", cosmetic)


@saboteur("cancels-the-unknown", "says TOO_LATE about a task it never saw", killed_by=("can.four-answers",))
def _(patch: pytest.MonkeyPatch) -> None:
    cancel = control.cancel

    def sure(store: Store, wish: Cancellation) -> Cancelled:
        answer = cancel(store, wish)
        return Cancelled.TOO_LATE if answer is Cancelled.UNKNOWN else answer

    patch.setattr(control, "cancel", sure)


@saboteur("cancels-only-what-is-ready", "does not find a delayed task to cancel it", killed_by=("can.delayed",))
def _(patch: pytest.MonkeyPatch) -> None:
    cancel = control.cancel

    def ready(store: Store, wish: Cancellation) -> Cancelled:
        entry = store.ledger.known.get(wish.id)
        delayed = isinstance(entry, Entry) and entry.state == DELAYED
        return Cancelled.UNKNOWN if delayed else cancel(store, wish)

    patch.setattr(control, "cancel", ready)


@saboteur(
    "cancels-without-a-result",
    "removes a task and leaves its waiter waiting",
    killed_by=("can.removed",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    def forget(self: Store, entry: Entry, result: object) -> None:
        del self.ledger.known[entry.id]

    patch.setattr(Store, "finish", forget)


@saboteur("cancels-untold", "removes a task without an event", killed_by=("can.removed",))
def _(patch: pytest.MonkeyPatch) -> None:
    cancel = control.cancel
    patch.setattr(control, "cancel", lambda store, wish: cancel(store, attrs.evolve(wish, events=b"")))


@saboteur("signals-nobody", "says SIGNALLED and tells no session", killed_by=("can.signalled",))
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SessionState, "want_cancel", nothing)


@saboteur("signals-all", "tells a session to cancel everything it runs", killed_by=("can.signalled",))
def _(patch: pytest.MonkeyPatch) -> None:
    want_cancel = SessionState.want_cancel

    def everything(self: SessionState, task_id: TaskId) -> None:
        for entry in self.held.values():
            want_cancel(self, entry.id)

    patch.setattr(SessionState, "want_cancel", everything)


@saboteur(
    "cancels-what-runs", "ends a running task, and its session is too late to settle it", killed_by=("can.signalled",)
)
def _(patch: pytest.MonkeyPatch) -> None:
    cancel = control.cancel

    def end(store: Store, wish: Cancellation) -> Cancelled:
        answer = cancel(store, wish)
        entry = store.ledger.known.get(wish.id)
        if answer is Cancelled.SIGNALLED and isinstance(entry, Entry):
            del entry.session.held[entry.receipt]
            store.finish(entry, wish.result)
        return answer

    patch.setattr(control, "cancel", end)


@saboteur(
    "pauses-for-show", "notes that a queue is paused, and hands out its tasks", killed_by=("pause.stops-handing-out",)
)
def _(patch: pytest.MonkeyPatch) -> None:
    async def pause(self: MemoryBroker, queues: Sequence[QueueName], /) -> None:
        self._store.queue(queues[0])

    patch.setattr(MemoryBroker, "pause", pause)


@saboteur("pauses-everything", "stops all queues for one", killed_by=("pause.stops-handing-out",))
def _(patch: pytest.MonkeyPatch) -> None:
    pause = MemoryBroker.pause

    async def all_of_them(self: MemoryBroker, queues: Sequence[QueueName], /) -> None:
        await pause(self, [*self._store.queues, *queues, QueueName("open")])

    patch.setattr(MemoryBroker, "pause", all_of_them)


@saboteur("pauses-alternate", "takes a second pause for a resume", killed_by=("pause.stops-handing-out",))
def _(patch: pytest.MonkeyPatch) -> None:
    async def toggle(self: MemoryBroker, queues: Sequence[QueueName], /) -> None:
        for queue in map(self._store.queue, queues):
            queue.paused = not queue.paused

    patch.setattr(MemoryBroker, "pause", toggle)


@saboteur("resumes-in-silence", "lets a queue go on and wakes nobody", killed_by=("pause.resume-wakes",))
def _(patch: pytest.MonkeyPatch) -> None:
    resume = MemoryBroker.resume

    async def quiet(self: MemoryBroker, queues: Sequence[QueueName], /) -> None:
        with pytest.MonkeyPatch.context() as silence:
            silence.setattr(Queue, "wake", nothing)
            await resume(self, queues)

    patch.setattr(MemoryBroker, "resume", quiet)


@saboteur(
    "purges-what-is-ready", "leaves what is delayed, and forgets the rest", killed_by=("purge.waiting", "purge.states")
)
def _(patch: pytest.MonkeyPatch) -> None:
    purge = control.purge
    patch.setattr(control, "purge", lambda store, name, states: purge(store, name, states - {State.DELAYED}))


@saboteur("purges-untold", "says that it forgot nothing", killed_by=("purge.waiting", "purge.keys", "purge.states"))
def _(patch: pytest.MonkeyPatch) -> None:
    purge = control.purge

    def modest(store: Store, name: QueueName, states: frozenset[State]) -> int:
        purge(store, name, states)
        return 0

    patch.setattr(control, "purge", modest)


@saboteur("purges-all-states", "forgets all that waits, whichever states were named", killed_by=("purge.states",))
def _(patch: pytest.MonkeyPatch) -> None:
    purge = control.purge
    waiting = frozenset({State.READY, State.DELAYED})
    patch.setattr(control, "purge", lambda store, name, states: purge(store, name, states | waiting))


@saboteur("purges-the-neighbours", "empties every queue", killed_by=("purge.waiting",))
def _(patch: pytest.MonkeyPatch) -> None:
    purge = control.purge

    def everywhere(store: Store, name: QueueName, states: frozenset[State]) -> int:
        return sum(purge(store, each, states) for each in list(store.queues))

    patch.setattr(control, "purge", everywhere)


def _see_otherwise(patch: pytest.MonkeyPatch, change: Callable[[QueueDepth], QueueDepth]) -> None:
    depth = control._depth
    patch.setattr(control, "_depth", lambda *found: change(depth(*found)))


@saboteur("counts-what-runs-as-ready", "counts what is handed out among what is ready", killed_by=("ins.counts",))
def _(patch: pytest.MonkeyPatch) -> None:
    _see_otherwise(patch, lambda d: attrs.evolve(d, ready=d.ready + d.running))


@saboteur("counts-for-show", "counts what was ever published", killed_by=("ins.counts",))
def _(patch: pytest.MonkeyPatch) -> None:
    inspect = control.inspect

    def ever(store: Store, names: Sequence[QueueName]) -> list[QueueDepth]:
        return [attrs.evolve(depth, ready=len(store.ledger.known)) for depth in inspect(store, names)]

    patch.setattr(control, "inspect", ever)


@saboteur("counts-no-dead", "does not count dead letters", killed_by=("ins.counts",))
def _(patch: pytest.MonkeyPatch) -> None:
    _see_otherwise(patch, lambda d: attrs.evolve(d, dead=0))


@saboteur("ages-in-milliseconds", "tells ages in milliseconds", killed_by=("ins.all",))
def _(patch: pytest.MonkeyPatch) -> None:
    _see_otherwise(patch, lambda d: attrs.evolve(d, oldest=d.oldest and d.oldest * 1e9))


@saboteur("shows-queues-backwards", "shows queues in an order of its own", killed_by=("ins.all",))
def _(patch: pytest.MonkeyPatch) -> None:
    inspect = MemoryBroker.inspect

    async def inspected(self: MemoryBroker, queues: Sequence[QueueName] | None = None, /) -> Sequence[QueueDepth]:
        return (await inspect(self, queues))[::-1]

    patch.setattr(MemoryBroker, "inspect", inspected)


@saboteur("shows-no-pause", "does not say which queues are paused", killed_by=("ins.all",))
def _(patch: pytest.MonkeyPatch) -> None:
    _see_otherwise(patch, lambda d: attrs.evolve(d, paused=False))


def _find_otherwise(patch: pytest.MonkeyPatch, change: Callable[[TaskState], TaskState | None]) -> None:
    find = control.find

    def changed(store: Store, task_id: TaskId) -> TaskState | None:
        found = find(store, task_id)
        return found and change(found)

    patch.setattr(control, "find", changed)


@saboteur("finds-no-finished", "does not find a task that has ended", killed_by=("find.states",))
def _(patch: pytest.MonkeyPatch) -> None:
    _find_otherwise(patch, lambda s: None if s.state is State.FINISHED else s)


@saboteur("finds-no-session", "does not say who has a running task", killed_by=("find.states",))
def _(patch: pytest.MonkeyPatch) -> None:
    _find_otherwise(patch, lambda s: attrs.evolve(s, session=None))


@saboteur("finds-the-dead-finished", "calls a dead letter finished", killed_by=("find.states",))
def _(patch: pytest.MonkeyPatch) -> None:
    _find_otherwise(patch, lambda s: TaskState(id=s.id, state=State.FINISHED) if s.state is State.DEAD else s)


@saboteur("finds-the-delayed-ready", "calls a delayed task ready", killed_by=("find.states",))
def _(patch: pytest.MonkeyPatch) -> None:
    _find_otherwise(patch, lambda s: attrs.evolve(s, state=State.READY) if s.state is State.DELAYED else s)


@saboteur("finds-what-never-was", "finds any id it is asked about", killed_by=("find.states",))
def _(patch: pytest.MonkeyPatch) -> None:
    find = control.find

    def sure(store: Store, task_id: TaskId) -> TaskState:
        return find(store, task_id) or TaskState(id=task_id, state=State.FINISHED)

    patch.setattr(control, "find", sure)
