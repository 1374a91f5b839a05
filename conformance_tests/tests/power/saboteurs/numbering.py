"""Faults in numbering: repeats after a lost reply."""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import pytest

from orcastra_conformance.engine.steps import turns
from orcastra_core.backends.memory import settling
from orcastra_core.backends.memory.session import MemorySession
from orcastra_core.backends.memory.session_state import SessionState
from orcastra_core.backends.memory.store import Store
from orcastra_core.model.settlement import Settled, Settlement
from power.saboteur import saboteur


@saboteur(
    "keeps-no-answers",
    "answers STALE to a repeat of what took effect",
    killed_by=("num.repeat", "num.window", "num.cancelled-settle"),
)
def _(patch: pytest.MonkeyPatch) -> None:
    settle = settling.settle

    def forgetful(store: Store, session: SessionState, batch: Sequence[Settlement], number: int) -> Sequence[Settled]:
        session.answers.clear()
        return settle(store, session, batch, number)

    patch.setattr(settling, "settle", forgetful)


@saboteur("keeps-the-last-answer", "keeps the answer of one settle, and declares more", killed_by=("num.window",))
def _(patch: pytest.MonkeyPatch) -> None:
    settle = settling.settle

    def short(store: Store, session: SessionState, batch: Sequence[Settlement], number: int) -> Sequence[Settled]:
        answers = settle(store, session, batch, number)
        session.answers = {session.last_number: session.answers[session.last_number]} if session.answers else {}
        return answers

    patch.setattr(settling, "settle", short)


@saboteur("ignores-numbers", "takes every settle for a new one", killed_by=("num.repeat", "num.too-old"))
def _(patch: pytest.MonkeyPatch) -> None:
    settle = settling.settle

    def fresh(store: Store, session: SessionState, batch: Sequence[Settlement], number: int) -> Sequence[Settled]:
        session.answers.clear()
        session.last_number = 0
        return settle(store, session, batch, number)

    patch.setattr(settling, "settle", fresh)


@saboteur("old-numbers-are-new", "takes a number that it has forgotten for a new one", killed_by=("num.too-old",))
def _(patch: pytest.MonkeyPatch) -> None:
    settle = settling.settle

    def lenient(store: Store, session: SessionState, batch: Sequence[Settlement], number: int) -> Sequence[Settled]:
        session.last_number = 0
        return settle(store, session, batch, number)

    patch.setattr(settling, "settle", lenient)


@saboteur("numbers-for-all", "keeps answers by number alone, for all sessions", killed_by=("num.per-session",))
def _(patch: pytest.MonkeyPatch) -> None:
    settle = settling.settle
    kept: WeakKeyDictionary[Store, dict[int, Sequence[Settled]]] = WeakKeyDictionary()

    def shared(store: Store, session: SessionState, batch: Sequence[Settlement], number: int) -> Sequence[Settled]:
        session.answers = kept.setdefault(store, {})
        return settle(store, session, batch, number)

    patch.setattr(settling, "settle", shared)


@saboteur("answers-the-dead", "repeats its answers to a session that was reaped", killed_by=("num.fenced",))
def _(patch: pytest.MonkeyPatch) -> None:
    settle = settling.settle
    kept: WeakKeyDictionary[SessionState, dict[int, Sequence[Settled]]] = WeakKeyDictionary()

    def loyal(store: Store, session: SessionState, batch: Sequence[Settlement], number: int) -> Sequence[Settled]:
        answers = kept.setdefault(session, {})
        if number not in answers:
            answers[number] = settle(store, session, batch, number)
        return answers[number]

    patch.setattr(settling, "settle", loyal)


@saboteur(
    "notes-the-answer-last",
    "settles, and keeps the answer in a second step that a cancelled call never reaches",
    killed_by=("num.cancelled-settle",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    settle = MemorySession.settle

    async def late(self: MemorySession, batch: Sequence[Settlement], /, *, number: int) -> Sequence[Settled]:
        answers = await settle(self, batch, number=number)
        kept = self._state.answers.pop(number, None)
        await turns(1)
        if kept is not None:
            self._state.answers[number] = kept
        return answers

    patch.setattr(MemorySession, "settle", late)


@saboteur(
    "settles-item-by-item",
    "settles a batch in several steps; cancelled, it has settled a part, and its repeat is STALE for that",
    killed_by=("num.cancelled-settle",),
)
def _(patch: pytest.MonkeyPatch) -> None:
    settle = MemorySession.settle

    async def slow(self: MemorySession, batch: Sequence[Settlement], /, *, number: int) -> Sequence[Settled]:
        if number in self._state.answers:
            return self._state.answers[number]
        answers: list[Settled] = []
        for item in batch:
            answers += await settle(self, [item], number=number)
            self._state.last_number = number - 1
            self._state.answers.pop(number, None)
            await turns(1)
        self._state.last_number = number
        self._state.answers[number] = answers
        return answers

    patch.setattr(MemorySession, "settle", slow)


@saboteur(
    "repeats-the-events", "appends a batch's events again when it is repeated", killed_by=("num.cancelled-settle",)
)
def _(patch: pytest.MonkeyPatch) -> None:
    settle = settling.settle

    def noisy(store: Store, session: SessionState, batch: Sequence[Settlement], number: int) -> Sequence[Settled]:
        repeat = number in session.answers
        answers = settle(store, session, batch, number)
        if repeat:
            store.events.extend([item.events for item in batch if item.events])
        return answers

    patch.setattr(settling, "settle", noisy)
