"""Settling in batches: each item has its own answer, and its effect or none."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from orcastra_conformance.engine.expect import Violation
from orcastra_conformance.engine.trial import FAR
from orcastra_conformance.history.telling import short
from orcastra_conformance.modelling.domain import KEPT, Domain, Player, reason_of
from orcastra_conformance.modelling.items import Item
from orcastra_conformance.modelling.kinds import How
from orcastra_core.model.delivery import Delivery
from orcastra_core.model.envelope import DedupMode, Envelope
from orcastra_core.model.settlement import STALE, Complete, Dead, Done, Settled, Settlement


@attrs.frozen
class Part:
    """One settlement of a batch.

    Attributes:
        item: What is settled.
        follow: What the model does with it; None where it has to be STALE.
    """

    settlement: Settlement
    item: Item | None = None
    follow: Callable[[], None] | None = None


async def settle(domain: Domain, player: Player, wishes: Sequence[tuple[int, How, int]]) -> None:
    """Settle a batch of what a session holds and of what it does not, and compare.

    Args:
        domain: Where.
        player: Whose deliveries.
        wishes: Which of those it holds, how, and which kind of envelope to emit.
    """
    free = sorted(player.holds.values(), key=lambda delivery: list(domain.model.items).index(delivery.envelope.id))
    parts: list[Part] = []
    for which, how, kind in wishes:
        if how is How.FORGED:
            parts.append(Part(domain.t.complete(Delivery(domain.made(0), "nonsense"))))
        elif how is How.SPENT:
            parts += [Part(domain.t.retry(old)) for old in player.spent[-1:]]
        elif free:
            parts += _parts(domain, free.pop(which % len(free)), how, kind)
    if not parts:
        return
    batch = [part.settlement for part in parts]
    number = player.last[0] + 1 if player.last is not None else 1
    answers = await domain.t.settle(player.session, *batch, number=number)
    player.last = number, batch, answers
    for part, answer in zip(parts, answers, strict=True):
        _compare(domain, player, part, answer)


async def settle_again(domain: Domain, player: Player) -> None:
    """Repeat the last batch under its number: the same answers, and nothing happens."""
    if player.last is not None and domain.t.profile.limits.settle_window:
        number, batch, answers = player.last
        again = await domain.t.settle(player.session, *batch, number=number)
        domain.t.expect.equal(list(again), list(answers), "a repeated number gets the answers of the first call")


def _parts(domain: Domain, delivery: Delivery, how: How, kind: int) -> list[Part]:
    t, model = domain.t, domain.model
    item = domain.item_of(delivery)
    short_time = 2 * t.moment

    def part(settlement: Settlement, follow: Callable[[], None]) -> Part:
        return Part(settlement, item, follow)

    match how:
        case How.COMPLETE | How.TWICE | How.EMIT:
            emit = [domain.made(kind)] if how is How.EMIT else []
            done = t.complete(delivery, kind.to_bytes(1), ttl=KEPT, emit=emit)
            twice = [Part(t.retry(delivery))] if how is How.TWICE else []
            return [part(done, lambda: model.end(item, done.result)), *twice]
        case How.DEAD:
            dead = attrs.evolve(t.dead(delivery, reason_of(item)), result=t.failure(item.id, ttl=KEPT))
            return [part(dead, lambda: model.end(item, dead.result, dead=True))]
        case How.MOVED if item.envelope.dedup is None or item.envelope.dedup.mode is DedupMode.ALIVE:
            return [part(t.moved(delivery), lambda: model.move(item))]
        case How.RELEASE:
            return [part(t.release(delivery), lambda: model.release(item))]
        case How.RELEASE_SOON:
            return [part(t.release(delivery, short_time), lambda: model.release(item, short_time))]
        case How.RETRY_SOON | How.RETRY_LATE:
            after = short_time if how is How.RETRY_SOON else FAR
            return [part(t.retry(delivery, after), lambda: model.retry(item, after))]
        case _:
            return [part(t.retry(delivery), lambda: model.retry(item))]


def _compare(domain: Domain, player: Player, part: Part, answer: Settled) -> None:
    name = short(part.settlement.delivery.envelope.id)
    if part.follow is None or part.item is None:
        domain.t.expect.equal(answer, STALE, f"{name} is not held: STALE")
        return
    done = domain.t.expect.is_a(answer, Done, f"{name} is held: it can be settled")
    part.follow()
    player.spent.append(player.holds.pop(part.item.id))
    emit: Sequence[Envelope] = part.settlement.emit if isinstance(part.settlement, (Complete, Dead)) else ()
    if len(done.emitted) != len(emit):
        raise Violation(f"Done.emitted of {name} is aligned with what it emits")
    domain.admitted(emit, done.emitted)
