"""What a broker tells of itself, compared with the model."""

from __future__ import annotations

from orcastra_conformance.engine.expect import Violation
from orcastra_conformance.engine.making import ERROR
from orcastra_conformance.history.telling import short
from orcastra_conformance.modelling.domain import Domain, reason_of
from orcastra_conformance.modelling.items import Item, Where
from orcastra_conformance.modelling.kinds import QUEUES
from orcastra_core.model.event import EventKind
from orcastra_core.model.profile import Cap
from orcastra_core.model.result import Absence, Result
from orcastra_core.model.task_state import State, TaskState

_STATES = {
    Where.READY: State.READY,
    Where.DELAYED: State.DELAYED,
    Where.BLOCKED: State.DELAYED,
    Where.HELD: State.RUNNING,
    Where.DEAD: State.DEAD,
    Where.ENDED: State.FINISHED,
}


async def agree(domain: Domain) -> None:
    """Compare all that can be asked for without changing anything."""
    for player in domain.players:
        held = await player.session.held()
        wanted = [delivery.receipt for delivery in player.holds.values()]
        domain.t.expect.equal(set(held), set(wanted), f"what the store says that {player.session.id} holds")
        domain.t.expect.equal(len(held), len(wanted), "each once")
    if domain.t.claims(Cap.LOOKUP):
        await _agree_on_states(domain)
    if domain.t.claims(Cap.INSPECT):
        await _agree_on_depths(domain)
    if domain.t.claims(Cap.RESULTS):
        await _agree_on_results(domain)
    if domain.t.claims(Cap.DEAD_LETTERS):
        await _agree_on_dead_letters(domain)


async def agree_on_losses(domain: Domain) -> None:
    """Compare the log's LOST events with the holders that died."""
    log = domain.brokers[0].events
    if log is not None:
        lost = [entry for entry in await log.read() if entry.event.kind is EventKind.LOST]
        domain.t.expect.equal(len(lost), domain.model.losses, "a LOST event for each delivery whose session was reaped")


def _remembered(domain: Domain, item: Item) -> bool:
    """Whether the store must still know an id: one that ended long ago may be forgotten."""
    return item.where is not Where.ENDED or domain.t.now() - item.ended < domain.t.profile.limits.publish_window / 2


async def _agree_on_states(domain: Domain) -> None:
    items = [i for i in domain.model.items.values() if i.where is not Where.MOVED and _remembered(domain, i)]
    states = await domain.brokers[0].find([item.id for item in items])
    for item, state in zip(items, states, strict=True):
        name = short(item.id)
        if state is None:
            raise Violation(f"find does not know {name}, which is {item.where.value}")
        allowed = {_STATES[item.where]} | ({State.READY} if domain.model.may_have_come(item) else set())
        domain.t.expect.true(state.state in allowed, f"find says that {name} is {state.state}, not {item.where.value}")
        _agree_on_task(domain, item, state)


def _agree_on_task(domain: Domain, item: Item, state: TaskState) -> None:
    name = short(item.id)
    if item.where is not Where.ENDED:
        domain.t.expect.equal(state.counts, item.counts, f"find: the counts of {name}")
    if item.where is Where.HELD:
        domain.t.expect.equal(state.session, item.holder, f"find: who holds {name}")


async def _agree_on_depths(domain: Domain) -> None:
    model = domain.model
    for depth in await domain.brokers[0].inspect(QUEUES):
        queue = depth.queue
        maybe = sum(map(model.may_have_come, model.among(Where.DELAYED, queue=queue)))
        ready = len(model.among(Where.READY, queue=queue))
        waiting = ready + len(model.among(Where.DELAYED, Where.BLOCKED, queue=queue))
        counted = f"{depth.ready} ready, {depth.delayed} delayed, {depth.running} running, {depth.dead} dead"
        wanted = (len(model.among(Where.HELD, queue=queue)), len(model.among(Where.DEAD, queue=queue)))
        right = ready <= depth.ready <= ready + maybe and depth.ready + depth.delayed == waiting
        if not right or (depth.running, depth.dead) != wanted:
            raise Violation(
                f"inspect of {queue!r}: {counted}; it ought to be {ready} ready, {waiting - ready} delayed, "
                f"{wanted[0]} running, {wanted[1]} dead"
            )
        if domain.t.claims(Cap.PAUSE):
            domain.t.expect.equal(depth.paused, queue in model.paused, f"inspect: whether {queue!r} is paused")


async def _agree_on_results(domain: Domain) -> None:
    store = domain.t.expect.found(domain.brokers[0].results, "RESULTS is claimed: the sub-service is there")
    items = [item for item in domain.model.items.values() if _remembered(domain, item)]
    for item, found in zip(items, await store.get([item.id for item in items]), strict=True):
        name = short(item.id)
        if item.alive:
            domain.t.expect.true(isinstance(found, Absence), f"{name} has not ended, but it has a result: {found}")
        elif item.result is not None:
            result = domain.t.expect.is_a(found, Result, f"{name} has ended: it has a result")
            got, wanted = (result.outcome, result.value), (item.result.outcome, item.result.value)
            domain.t.expect.equal(got, wanted, f"the result of {name}")


async def _agree_on_dead_letters(domain: Domain) -> None:
    store = domain.t.expect.found(domain.brokers[0].dead_letters, "DEAD_LETTERS is claimed: the sub-service is there")
    letters = {letter.id: (letter.counts, letter.reason, letter.error) for letter in await store.page(limit=1000)}
    wanted = {item.id: (item.counts, reason_of(item), ERROR) for item in domain.model.among(Where.DEAD)}
    domain.t.expect.equal(letters, wanted, "the dead letters, their counts and why they died")
