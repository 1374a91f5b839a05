"""One example's domain: its clients, and the model they are compared with."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from orcastra_conformance.engine.expect import Violation
from orcastra_conformance.engine.harness import BrokerHarness
from orcastra_conformance.engine.trial import Trial
from orcastra_conformance.history.telling import short
from orcastra_conformance.modelling.items import Item
from orcastra_conformance.modelling.kinds import Fields, How, kinds_of, ways_of
from orcastra_conformance.modelling.model import Model
from orcastra_core.interfaces.broker import Broker
from orcastra_core.interfaces.session import Session
from orcastra_core.model.delivery import Delivery
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.ids import TaskId
from orcastra_core.model.profile import Cap
from orcastra_core.model.published import STORED, Published
from orcastra_core.model.settlement import Settled, Settlement

KEPT = 30 * 86400.0
"""Seconds the machine's results are kept: longer than any example lets pass."""


@attrs.define(eq=False)
class Player:
    """A session and what its caller knows.

    Attributes:
        broker: Which of the two clients it belongs to.
        holds: Deliveries not settled yet.
        spent: Deliveries settled before.
        last: The last batch with its number and answers.
    """

    session: Session
    broker: int
    holds: dict[TaskId, Delivery] = attrs.Factory(dict)
    spent: list[Delivery] = attrs.Factory(list)
    last: tuple[int, Sequence[Settlement], Sequence[Settled]] | None = None


class Domain:
    """A fresh domain with two clients.

    Attributes:
        t: Its trial: what goes through it is the history of the example.
        model: What ought to be in it.
        players: Sessions that live.
        ghosts: Sessions that were reaped.
        chosen: The kinds of envelopes that are published.
        virtual: Whether hours may pass at once.
        silences: Whether the harness can stop a session's beats.
    """

    def __init__(self, harness: BrokerHarness, name: str, seed: int) -> None:
        self.t = Trial(harness, name, seed)
        self.brokers: list[Broker] = []
        self.players: list[Player] = []
        self.ghosts: list[Player] = []
        self.virtual = moves_time(harness)
        self.silences = False
        self.chosen: Sequence[int] = (0,)
        self.model: Model
        self.kinds: list[Fields]
        self.ways: list[How]

    async def open(self) -> None:
        """Open its clients."""
        self.brokers = [await self.t.broker(), await self.t.broker()]
        self.model = Model(self.t.now, self.t.moment / 2, buries=self.t.claims(Cap.DEAD_LETTERS))
        self.kinds, self.ways = kinds_of(self.t), ways_of(self.t)

    async def close(self) -> None:
        """Close its clients and remove what they left."""
        await self.t.close()
        await self.t.harness.wipe(self.t.domain)

    @property
    def lapses(self) -> bool:
        """Whether a session can be made to lapse without waiting for it in earnest, and a sweep tells what it held."""
        return self.silences and self.virtual and not self.t.profile.server_reaps

    def choose(self, numbers: Sequence[int]) -> None:
        """Choose the kinds of envelopes that are published."""
        self.chosen = [number % len(self.kinds) for number in numbers]

    def begin(self) -> None:
        """Say that what is followed next happens from now on."""
        self.model.began = self.t.now()

    def made(self, kind: int) -> Envelope:
        """Return a fresh envelope of a kind."""
        return self.t.envelope(**self.kinds[kind % len(self.kinds)]())

    def admitted(self, envelopes: Sequence[Envelope], answers: Sequence[Published]) -> None:
        """Compare what was answered to a publish, and follow it."""
        for envelope, answer in zip(envelopes, answers, strict=True):
            allowed = self.model.answers(envelope)
            if answer not in allowed:
                wanted = " or ".join(map(str, allowed))
                raise Violation(f"{short(envelope.id)} ought to be answered {wanted}, not {answer}")
            if answer == STORED:
                self.model.store(envelope)

    def item_of(self, delivery: Delivery) -> Item:
        """Return the task of a delivery. Raises Violation if there is none."""
        item = self.model.items.get(delivery.envelope.id)
        if item is None:
            raise Violation(f"{short(delivery.envelope.id)} was handed out, but there is no such task")
        return item

    async def promote(self) -> None:
        """Make due what is due."""
        for _ in range(20):
            promotion = await self.t.promote(self.brokers[0])
            if not promotion.done:
                break
        self.model.promoted()

    def died(self, player: Player) -> list[Item]:
        """Note that a session was reaped."""
        self.players.remove(player)
        self.ghosts.append(player)
        return self.model.lose(player.session.id)


def reason_of(item: Item) -> str:
    """Return why a task is dead-lettered: its own reason, to be told from another's."""
    return f"{short(item.id)} gave up"


def moves_time(harness: BrokerHarness) -> bool:
    """Whether hours may pass at once: by default a harness lets time pass in earnest."""
    return type(harness).advance is not BrokerHarness.advance
