"""What several saboteurs do to ``memory://``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import pytest

from orcastra_core.backends.memory import intake, settling
from orcastra_core.backends.memory.entry import Entry, Queue
from orcastra_core.backends.memory.session_state import SessionState
from orcastra_core.backends.memory.store import Store
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.published import Published
from orcastra_core.model.settlement import Settled, Settlement

T = TypeVar("T")


def nothing(*_: object, **__: object) -> None:
    """Do nothing: in the place of what ought to be done."""


@contextmanager
def nobody_woken() -> Iterator[None]:
    """Have nobody who waits for deliveries woken while this lasts; for steps without an await."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Queue, "wake", nothing)
        yield


def unheard(call: Callable[..., T]) -> Callable[..., T]:
    """Return the call, waking nobody who waits for deliveries."""

    def quiet(*args: object, **kwargs: object) -> T:
        with nobody_woken():
            return call(*args, **kwargs)

    return quiet


def change_envelopes(patch: pytest.MonkeyPatch, change: Callable[[Envelope], Envelope]) -> None:
    """Have each envelope changed before a publish stores it."""
    admit = intake.admit

    def changed(store: Store, batch: Sequence[Envelope], events: Sequence[bytes] = ()) -> list[Published]:
        return admit(store, [change(envelope) for envelope in batch], events)

    patch.setattr(intake, "admit", changed)


def change_settlements(patch: pytest.MonkeyPatch, change: Callable[[Settlement], Settlement]) -> None:
    """Have each settlement changed before it takes effect."""
    settle = settling.settle

    def changed(store: Store, session: SessionState, batch: Sequence[Settlement], number: int) -> Sequence[Settled]:
        return settle(store, session, [change(item) for item in batch], number)

    patch.setattr(settling, "settle", changed)


def change_answers(
    patch: pytest.MonkeyPatch, change: Callable[[Store, SessionState, Settlement, Settled], Settled]
) -> None:
    """Have each answer to a settlement changed, and whatever else ``change`` does then."""
    settle = settling.settle

    def changed(store: Store, session: SessionState, batch: Sequence[Settlement], number: int) -> Sequence[Settled]:
        answers = settle(store, session, batch, number)
        return [change(store, session, item, answer) for item, answer in zip(batch, answers, strict=True)]

    patch.setattr(settling, "settle", changed)


def alive(store: Store, task_id: str) -> Entry | None:
    """Return a task that has not ended."""
    return next((e for e in store.ledger.known.values() if isinstance(e, Entry) and e.id == task_id), None)
