"""What else may happen to a domain: sessions that die, tasks that are cancelled, queues that stand still, time."""

from __future__ import annotations

import attrs

from orcastra_conformance.engine.expect import Violation
from orcastra_conformance.engine.trial import FAR
from orcastra_conformance.history.telling import short
from orcastra_conformance.modelling.domain import Domain, Player
from orcastra_conformance.modelling.fetching import fetch
from orcastra_conformance.modelling.items import Item, Where
from orcastra_conformance.modelling.kinds import QUEUES
from orcastra_core.model.counts import FRESH
from orcastra_core.model.delivery import Want
from orcastra_core.model.errors import SessionFenced
from orcastra_core.model.names import QueueName
from orcastra_core.model.profile import Cap
from orcastra_core.model.published import STORED, Duplicate
from orcastra_core.model.settlement import STALE
from orcastra_core.model.task_state import Cancelled, State

_WAITING = {State.READY: (Where.READY,), State.DELAYED: (Where.DELAYED, Where.BLOCKED), State.DEAD: (Where.DEAD,)}


async def publish(domain: Domain, broker: int, kinds: list[int]) -> None:
    """Publish fresh envelopes in one batch."""
    envelopes = [domain.made(kind) for kind in kinds]
    domain.admitted(envelopes, await domain.t.publish(domain.brokers[broker], *envelopes))


async def publish_again(domain: Domain, broker: int, item: Item) -> None:
    """Repeat a publish, or bring back what a scheduler has."""
    envelope = item.envelope
    if item.where is Where.MOVED:
        envelope = attrs.evolve(envelope, counts=item.counts.retried())
    domain.admitted([envelope], await domain.t.publish(domain.brokers[broker], envelope))


async def publish_forgotten(domain: Domain) -> None:
    """Publish again what was purged: nobody knows it."""
    envelope = attrs.evolve(domain.model.forgotten.pop(), due=None, counts=FRESH)
    domain.admitted([envelope], await domain.t.publish(domain.brokers[0], envelope))


async def open_session(domain: Domain, broker: int) -> None:
    """Open one more session."""
    session = await domain.t.session(domain.brokers[broker], *QUEUES)
    domain.players.append(Player(session, broker))


async def expire(domain: Domain, player: Player) -> None:
    """Reap a session that is known to be dead."""
    lost = domain.died(player)
    expirer = domain.t.expirer(domain.brokers[player.broker], domain.brokers[0])
    told = await domain.t.expire(expirer, player.session.id)
    domain.t.expect.equal(told, len(lost), "expire says how many it handed out again")


async def lapse(domain: Domain, player: Player, limit: int) -> None:
    """Have a session silent for its lease, and sweep."""
    judge = domain.brokers[0]
    await domain.t.sweep(judge)
    await domain.t.harness.silence(player.session)
    await domain.t.advance(domain.t.lease * 0.8)
    early = await domain.t.sweep(judge)
    domain.t.expect.equal(list(early.sessions), [], "a session that was silent for less than its lease is not reaped")
    await domain.t.advance(domain.t.lease * 0.3 + domain.t.moment)
    domain.begin()
    await domain.promote()
    swept = [await domain.t.sweep(judge, limit=limit)]
    while swept[-1].more and len(swept) < 100:
        swept.append(await domain.t.sweep(judge, limit=limit))
    reaped = [session for one in swept for session in one.sessions]
    domain.t.expect.equal(reaped, [player.session.id], "the sweep reaps the session that was silent, and no other")
    told = {lost.id: lost.counts for one in swept for lost in one.lost}
    wanted = {item.id: item.counts for item in domain.died(player)}
    domain.t.expect.equal(told, wanted, "the sweep says what was lost")


async def leave(domain: Domain, player: Player) -> None:
    """Leave in good order."""
    await domain.t.leave(player.session)
    domain.players.remove(player)
    domain.model.leave(player.session.id)


async def haunt(domain: Domain, ghost: Player) -> None:
    """Have a reaped session go on as if nothing had happened: it is refused, and nothing has an effect."""
    t = domain.t
    batch = [t.complete(delivery, b"\x18\xff") for delivery in (*ghost.holds.values(), *ghost.spent[-1:])]
    if batch:
        number = ghost.last[0] + 1 if ghost.last is not None else 1
        answers = await t.settle(ghost.session, *batch, number=number)
        t.expect.equal(list(answers), [STALE] * len(batch), "what a reaped session settles is STALE")
    fetching = t.fetch(ghost.session, Want(1, [(queue, 1) for queue in QUEUES]))
    await t.expect.raises(SessionFenced, fetching, "a reaped session fetches nothing")
    t.expect.equal(list(await ghost.session.held()), [], "a reaped session holds nothing")


async def reopen(domain: Domain) -> None:
    """Close the second client, have it known that its sessions are dead, and open it again."""
    await domain.brokers[1].close()
    domain.t.note("the second client is closed, its sessions are dead, and opened again")
    for player in [player for player in domain.players if player.broker == 1]:
        await expire(domain, player)
        domain.ghosts.remove(player)  # its broker was closed: there is nobody left to speak
    domain.ghosts = [ghost for ghost in domain.ghosts if ghost.broker == 0]
    await domain.brokers[1].open()


async def cancel(domain: Domain, item: Item | None) -> None:
    """Cancel a task, or one that nobody knows."""
    t, model = domain.t, domain.model
    if item is not None and item.where is Where.MOVED:
        return  # a cancel frees its keys, and the scheduler's copy is none of this store's business
    task_id = t.id() if item is None else item.id
    (answer,) = await t.cancel(domain.brokers[0], task_id)
    if item is None:
        wanted = Cancelled.UNKNOWN
    elif item.where is Where.HELD:
        wanted = Cancelled.SIGNALLED
    else:
        wanted = Cancelled.REMOVED if item.alive else Cancelled.TOO_LATE
    t.expect.equal(answer, wanted, f"cancelling {short(task_id)}, which is {item.where.value if item else 'unknown'}")
    if item is not None and answer is Cancelled.REMOVED:
        model.end(item, t.cancellation(task_id).result)


async def replay(domain: Domain, item: Item) -> None:
    """Put a dead letter back."""
    store = domain.t.expect.found(domain.brokers[0].dead_letters, "DEAD_LETTERS is claimed: the sub-service is there")
    (answer,) = await domain.t.replay(store, item.id)
    allowed = domain.model.key_answers(item.envelope)
    if answer not in allowed:
        raise Violation(f"the replay of {short(item.id)} ought to be answered {allowed}, not {answer}")
    if not isinstance(answer, Duplicate) and answer == STORED:
        domain.model.replay(item.id)


async def bury(domain: Domain, item: Item) -> None:
    """Forget a dead letter; that it ended is remembered."""
    store = domain.t.expect.found(domain.brokers[0].dead_letters, "DEAD_LETTERS is claimed: the sub-service is there")
    domain.t.note(f"forget the dead letter {short(item.id)}")
    domain.t.expect.equal(await store.purge(ids=[item.id]), 1, "the dead letter is forgotten")
    item.where = Where.ENDED


async def purge(domain: Domain, name: QueueName, states: frozenset[State]) -> None:
    """Forget what is in some states."""
    wheres = [where for state in states for where in _WAITING[state]]
    model = domain.model
    unsure = [item for item in model.among(Where.DELAYED, queue=name) if model.may_have_come(item)]
    if unsure and not {State.READY, State.DELAYED} <= states:
        return  # one of them or not: the store's clock decides
    gone = model.among(*wheres, queue=name)
    told = await domain.t.purge(domain.brokers[0], name, states)
    domain.t.expect.equal(told, len(gone), "purge says how many it forgot")
    model.forget(gone)


async def pause(domain: Domain, name: QueueName) -> None:
    """Pause a queue, or resume it."""
    going = name not in domain.model.paused
    domain.t.note(f"{'pause' if going else 'resume'} {name!r}")
    if going:
        await domain.brokers[0].pause([name])
        domain.model.paused.add(name)
    else:
        await domain.brokers[1].resume([name])
        domain.model.paused.discard(name)


async def advance(domain: Domain, *, far: bool) -> None:
    """Let a moment pass, or an hour, and make due what is due."""
    await domain.t.advance(FAR + domain.t.moment if far else 3 * domain.t.moment)
    domain.begin()
    await domain.promote()


async def finish(domain: Domain) -> None:
    """End the example: every session dies, all that is left is handed out, and nothing else."""
    if domain.t.claims(Cap.PAUSE):
        for queue in sorted(domain.model.paused):
            await pause(domain, queue)
    for player in list(domain.players):
        await expire(domain, player)
    if domain.virtual and domain.t.claims(Cap.DELAY):
        await advance(domain, far=True)
    await open_session(domain, 0)
    (player,) = domain.players
    while any(domain.model.owed(queue) for queue in QUEUES):
        await fetch(domain, player, domain.t.want(100, *QUEUES))
        done = [domain.t.complete(delivery) for delivery in player.holds.values()]
        await domain.t.done(player.session, *done)
        for delivery, settled in zip(list(player.holds.values()), done, strict=True):
            domain.model.end(domain.item_of(delivery), settled.result)
        player.holds.clear()
    await fetch(domain, player, domain.t.want(100, *QUEUES))
