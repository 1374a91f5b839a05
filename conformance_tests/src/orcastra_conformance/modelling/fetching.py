"""Fetching: what is handed out must be owed, in the order promised, as it was published."""

from __future__ import annotations

import attrs

from orcastra_conformance.engine.expect import Violation
from orcastra_conformance.history.telling import short
from orcastra_conformance.modelling.domain import Domain, Player
from orcastra_conformance.modelling.items import Item, Where
from orcastra_core.model.counts import FRESH
from orcastra_core.model.delivery import Delivery, Want
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.profile import Cap

_SPURIOUS = 3
"""A fetch may come back early and empty: this often at once, and this often after a moment's wait."""


async def fetch(domain: Domain, player: Player, want: Want) -> None:
    """Fetch all that a want is owed, however many calls it takes, and compare."""
    owed, got, empty = _owed(domain, want), 0, 0
    while True:
        if empty < _SPURIOUS:
            taken = await domain.t.fetch(player.session, want)
        else:
            taken = await domain.t.fetch_for_a_moment(player.session, want)
        for at, delivery in enumerate(taken):
            _check(domain, player, delivery, _left(want, taken[:at]))
        got += len(taken)
        empty = 0 if taken else empty + 1
        want = _left(want, taken)
        if got >= owed:
            return
        if empty >= 2 * _SPURIOUS:
            raise Violation(f"{owed} deliveries were owed, but only {got} came")


def _owed(domain: Domain, want: Want) -> int:
    room = want.limit
    for queue, most in want.queues:
        room -= min(most, room, len(domain.model.owed(queue)))
    return want.limit - room


def _left(want: Want, taken: list[Delivery]) -> Want:
    queues = [d.envelope.queue for d in taken]
    return Want(want.limit - len(taken), [(queue, most - queues.count(queue)) for queue, most in want.queues])


def _check(domain: Domain, player: Player, delivery: Delivery, want: Want) -> None:
    """Compare one delivery of a fetch that still wants so much, and follow it."""
    t, model = domain.t, domain.model
    item, name = domain.item_of(delivery), short(delivery.envelope.id)
    may_come = item.where is Where.READY or model.may_have_come(item)
    t.expect.true(may_come, f"{name} was handed out, but it is {_place(item)}")
    t.expect.equal(_plain(delivery.envelope), _plain(item.envelope), f"{name} is handed out as it was published")
    t.expect.equal(delivery.counts, item.counts, f"the counts of {name}")
    queue = item.envelope.queue
    t.expect.true(queue not in model.paused, f"{name} was handed out, but its queue is paused")
    room = dict(want.queues).get(queue, 0)
    t.expect.true(room > 0 and want.limit > 0, f"{name} was handed out beyond what was asked of queue {queue!r}")
    for other, most in want.queues:
        if other == queue:
            break
        if most and model.owed(other):
            raise Violation(
                f"{name} of queue {queue!r} was handed out while {other!r}, asked for first, has some ready"
            )
    receipts = [held.receipt for held in player.holds.values()]
    t.expect.true(delivery.receipt not in receipts, f"the receipt of {name} is that of another")
    if item.where is Where.READY:
        _check_order(domain, item)
    model.hand_out(item, player.session.id)
    player.holds[item.id] = delivery


def _check_order(domain: Domain, item: Item) -> None:
    t, model = domain.t, domain.model
    ready = model.owed(item.envelope.queue)
    if t.claims(Cap.PRIORITY):
        better = [other for other in ready if other.envelope.priority > item.envelope.priority]
        t.expect.true(not better, f"{_named([item])} was handed out before {_named(better)}, of a higher priority")
    if t.claims(Cap.ORDERED_QUEUE):
        first = [other for other in ready if other.id in item.behind]
        t.expect.true(not first, f"{_named([item])} was handed out before {_named(first)}, which is ahead of it")


def _place(item: Item) -> str:
    return f"held by {item.holder}" if item.where is Where.HELD else item.where.value


def _named(items: list[Item]) -> str:
    return ", ".join(short(item.id) for item in items)


def _plain(envelope: object) -> object:
    """Return an envelope to compare; where its counts travel is the backend's business."""
    if not isinstance(envelope, Envelope):
        return envelope
    return attrs.evolve(envelope, counts=FRESH, headers=dict(envelope.headers), extras=dict(envelope.extras))
