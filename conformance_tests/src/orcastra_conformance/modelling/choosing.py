"""What may be done next: a table of moves, chosen by plain numbers, so that a sequence can be repeated and made shorter."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeAlias, TypeVar

import attrs

from orcastra_conformance.modelling import moves
from orcastra_conformance.modelling.domain import Domain, Player
from orcastra_conformance.modelling.fetching import fetch
from orcastra_conformance.modelling.items import Item, Where
from orcastra_conformance.modelling.kinds import QUEUES, How
from orcastra_conformance.modelling.settling import settle, settle_again
from orcastra_core.model.delivery import Want
from orcastra_core.model.profile import Cap
from orcastra_core.model.task_state import State

T = TypeVar("T")

Step: TypeAlias = Callable[[], Coroutine[Any, Any, None]]

NUMBERS = 20
"""As many bytes are enough to choose a step by."""

_MOST_SESSIONS = 3
_TRIES = 8
_STATES = ((State.READY,), (State.DELAYED,), (State.READY, State.DELAYED), (State.DEAD,))


class Choice:
    """Chooses the next step for a domain, and everything in it, by numbers.

    Args:
        domain: For which.
        numbers: Bytes; 0 chooses what is simplest, and so does what is missing.
    """

    def __init__(self, domain: Domain, numbers: bytes) -> None:
        self.domain = domain
        self._numbers = itertools.chain(numbers, itertools.repeat(0))

    def step(self) -> Step:
        """Return the next step."""
        for _ in range(_TRIES):
            chosen = self.one_of(_table)
            if chosen.possible(self):
                return chosen.make(self)
        return _table[0].make(self)

    def one_of(self, options: Sequence[T]) -> T:
        """Choose one; the first is the simplest."""
        return options[next(self._numbers) % len(options)]

    @property
    def kinds(self) -> Sequence[int]:
        """The kinds of envelopes that this example publishes."""
        return self.domain.chosen

    def claims(self, *caps: Cap) -> bool:
        """Whether the broker claims all of these."""
        return self.domain.t.claims(*caps)

    def players(self, *, holding: bool = False) -> list[Player]:
        """Return the sessions that live, or those of them that hold something."""
        return [player for player in self.domain.players if player.holds or not holding]

    def among(self, *where: Where) -> list[Item]:
        """Return the tasks there, the latest first."""
        return self.domain.model.among(*where)[::-1]

    def recent(self) -> list[Item]:
        """Return the tasks that the store must still know by their ids, the latest first."""
        window = self.domain.t.profile.limits.publish_window
        since = self.domain.t.now() - window / 2
        return [item for item in reversed(self.domain.model.items.values()) if window and item.published > since]


@attrs.frozen
class Move:
    """Something that may be done: when, and how it is chosen."""

    possible: Callable[[Choice], object]
    make: Callable[[Choice], Step]


_table: list[Move] = []
"""Each as often as its weight."""


def move(
    weight: int, when: Callable[[Choice], object] = lambda _: True
) -> Callable[[Callable[[Choice], Step]], Callable[[Choice], Step]]:
    """Register a move."""

    def register(make: Callable[[Choice], Step]) -> Callable[[Choice], Step]:
        _table.extend([Move(when, make)] * weight)
        return make

    return register


@move(10)
def _(c: Choice) -> Step:
    """Go on as a worker would: this is what Hypothesis falls back upon, so it has to lead somewhere."""
    if not c.players():
        return lambda: moves.open_session(c.domain, 0)
    if c.players(holding=True):
        player = c.players(holding=True)[0]
        return lambda: settle(c.domain, player, [(0, How.COMPLETE, 0)])
    if any(map(c.domain.model.owed, QUEUES)):
        want = Want(5, [(queue, 5) for queue in QUEUES])
        return lambda: fetch(c.domain, c.players()[0], want)
    return lambda: moves.publish(c.domain, 0, [c.kinds[0]])


# -- publishing


@move(7)
def _(c: Choice) -> Step:
    broker, kind = c.one_of((0, 1)), c.one_of(c.kinds)
    return lambda: moves.publish(c.domain, broker, [kind])


@move(4)
def _(c: Choice) -> Step:
    broker, kinds = c.one_of((0, 1)), [c.one_of(c.kinds) for _ in range(c.one_of((2, 3, 4)))]
    return lambda: moves.publish(c.domain, broker, kinds)


@move(3, lambda c: c.recent())
def _(c: Choice) -> Step:
    broker, item = c.one_of((0, 1)), c.one_of(c.recent())
    return lambda: moves.publish_again(c.domain, broker, item)


@move(3, lambda c: c.domain.model.forgotten)
def _(c: Choice) -> Step:
    return lambda: moves.publish_forgotten(c.domain)


@move(5, lambda c: c.among(Where.MOVED))
def _(c: Choice) -> Step:
    item = c.one_of(c.among(Where.MOVED))
    return lambda: moves.publish_again(c.domain, 0, item)


# -- sessions


@move(4, lambda c: len(c.players()) < (1 if c.domain.t.profile.partitioned else _MOST_SESSIONS))
def _(c: Choice) -> Step:
    broker = c.one_of((0, 1))
    return lambda: moves.open_session(c.domain, broker)


@move(30, lambda c: c.players())
def _(c: Choice) -> Step:
    player, queues = c.one_of(c.players()), c.one_of((QUEUES, QUEUES[::-1], QUEUES[:1]))
    limit, second = c.one_of((5, 1, 2, 3)), c.one_of((5, 1))
    want = Want(limit, [(queue, most) for queue, most in zip(queues, (limit, second), strict=False)])
    return lambda: fetch(c.domain, player, want)


@move(40, lambda c: c.players(holding=True))
def _(c: Choice) -> Step:
    player = c.one_of(c.players(holding=True))
    wishes = [(c.one_of(range(6)), c.one_of(c.domain.ways), c.one_of(c.kinds)) for _ in range(c.one_of((1, 1, 2, 3)))]
    return lambda: settle(c.domain, player, wishes)


@move(2, lambda c: any(player.last for player in c.players()))
def _(c: Choice) -> Step:
    player = c.one_of([player for player in c.players() if player.last])
    return lambda: settle_again(c.domain, player)


@move(8, lambda c: c.players(holding=True))
def _(c: Choice) -> Step:
    player = c.one_of(c.players(holding=True))
    return lambda: moves.expire(c.domain, player)


@move(6, lambda c: c.domain.lapses and c.players(holding=True))
def _(c: Choice) -> Step:
    player, limit = c.one_of(c.players(holding=True)), c.one_of((3, 2, 1))
    return lambda: moves.lapse(c.domain, player, limit)


@move(3, lambda c: c.players())
def _(c: Choice) -> Step:
    player = c.one_of(c.players())
    return lambda: moves.leave(c.domain, player)


@move(5, lambda c: c.domain.ghosts and c.claims(Cap.FENCED))
def _(c: Choice) -> Step:
    ghost = c.one_of(c.domain.ghosts[::-1])
    return lambda: moves.haunt(c.domain, ghost)


@move(1, lambda c: c.claims(Cap.STABLE_SESSION))
def _(c: Choice) -> Step:
    return lambda: moves.reopen(c.domain)


# -- control


@move(4, lambda c: c.claims(Cap.CANCEL) and c.recent())
def _(c: Choice) -> Step:
    item = c.one_of([*c.recent(), None])
    return lambda: moves.cancel(c.domain, item)


@move(20, lambda c: c.among(Where.DEAD))
def _(c: Choice) -> Step:
    item = c.one_of(c.among(Where.DEAD))
    return lambda: moves.replay(c.domain, item)


@move(1, lambda c: c.among(Where.DEAD))
def _(c: Choice) -> Step:
    item = c.one_of(c.among(Where.DEAD))
    return lambda: moves.bury(c.domain, item)


@move(2, lambda c: c.claims(Cap.PURGE))
def _(c: Choice) -> Step:
    queue, states = c.one_of(QUEUES), frozenset(c.one_of(_STATES))
    return lambda: moves.purge(c.domain, queue, states)


@move(3, lambda c: c.claims(Cap.PAUSE))
def _(c: Choice) -> Step:
    queue = c.one_of(sorted(c.domain.model.paused) or QUEUES)
    return lambda: moves.pause(c.domain, queue)


@move(6, lambda c: c.among(Where.DELAYED))
def _(c: Choice) -> Step:
    far = c.domain.virtual and c.one_of((False, False, True))
    return lambda: moves.advance(c.domain, far=far)
