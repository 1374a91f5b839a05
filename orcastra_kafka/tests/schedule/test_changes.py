"""Schedules that change under the hands of those who fire them: the log says in which order it happened."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable

import attrs
import pytest
from kafka_rig import Open
from schedule_rig import PLAN, deferred, fired, recurring
from server_rig import make

from orcastra_core.model.ids import TaskId
from orcastra_core.model.schedule import Fired, Schedule, ScheduleId
from orcastra_kafka import KafkaBroker
from orcastra_kafka.conformance_servers import Server
from orcastra_kafka.schedule.partition import Partition
from orcastra_kafka.transaction import Transactions


def url_of(shared: Server, partitions: int = 2) -> str:
    return f"{shared.url}/?levels=1&partitions={partitions}&domain=s-{uuid.uuid4().hex}"


async def stored(broker: KafkaBroker, one: ScheduleId) -> Schedule | None:
    (found,) = await broker.scheduler.get([one])
    return found


async def promoted(broker: KafkaBroker, limit: int = 500) -> int:
    return (await broker.scheduler.promote(broker, limit=limit, plan=PLAN)).done


def before_commit(monkeypatch: pytest.MonkeyPatch, what: Callable[[], Awaitable[object]], *, times: int = 1) -> None:
    """Have something happen between a decision and its transaction, as often as that."""
    commit, left = Transactions.commit, [times]

    async def intruding(self: Transactions, *args: object, **more: object) -> bool:
        if left[0]:
            left[0] -= 1
            await what()
        return await commit(self, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Transactions, "commit", intruding)


async def test_what_is_removed_just_before_it_is_fired_is_not_fired(
    shared: Server, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = url_of(shared)
    broker, other = await opened(url), await opened(url)
    schedule = deferred()
    await broker.scheduler.add([schedule])
    answers: list[bool] = []

    async def remove() -> None:
        answers.extend(await other.scheduler.remove([schedule.id]))

    before_commit(monkeypatch, remove)
    assert await promoted(broker) == 0
    assert answers == [True], "whoever removed it was told so"
    assert await fired(broker) == {}


async def test_what_is_removed_while_it_is_fired_was_not_there(
    shared: Server, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = url_of(shared)
    broker, other = await opened(url), await opened(url)
    schedule = deferred()
    await broker.scheduler.add([schedule])
    assert await stored(other, schedule.id) == schedule
    overtaken = Partition._overtaken
    removing: list[asyncio.Task[object]] = []

    async def removed_meanwhile(self: Partition, *args: object) -> bool:
        answer = await overtaken(self, *args)  # type: ignore[arg-type]
        removing.append(asyncio.create_task(other.scheduler.remove([schedule.id])))
        await asyncio.sleep(0.2)  # its record lies behind the one that is about to be committed
        return answer

    monkeypatch.setattr(Partition, "_overtaken", removed_meanwhile)
    assert await promoted(broker) == 1
    assert await removing[0] == [False]
    assert await fired(broker) == {schedule.envelope.id: 1}


async def test_what_is_replaced_just_before_it_is_fired_is_not_lost(
    shared: Server, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = url_of(shared)
    broker, other = await opened(url), await opened(url)
    schedule = recurring("s")
    await broker.scheduler.add([schedule])
    later = deferred(3600)
    replaced = attrs.evolve(later, id=schedule.id)
    before_commit(monkeypatch, lambda: other.scheduler.add([replaced]))
    assert await promoted(broker) == 0
    assert await stored(broker, schedule.id) == replaced
    assert await fired(broker) == {}


async def test_of_many_removals_one_finds_it(shared: Server, opened: Open) -> None:
    url = url_of(shared)
    brokers = [await opened(url) for _ in range(4)]
    schedules = [deferred(3600) for _ in range(30)]
    await brokers[0].scheduler.add(schedules)
    ids = [schedule.id for schedule in schedules]
    answers = await asyncio.gather(*(broker.scheduler.remove([*ids, ids[0]]) for broker in brokers))
    for number in range(len(ids)):
        assert (
            sum(answer[number] for answer in answers) + (sum(answer[-1] for answer in answers) if number == 0 else 0)
            == 1
        )
    assert await brokers[1].scheduler.page() == []


async def test_adding_what_recurs_again_changes_its_manners_and_not_its_due(shared: Server, opened: Open) -> None:
    broker = await opened(url_of(shared))
    schedule = recurring("s", 3600)
    await broker.scheduler.add([schedule, recurring("t", 7200)])
    changed = attrs.evolve(schedule, due=schedule.due + 99, grace=5.0, paused=True)
    await broker.scheduler.add([changed])
    assert await stored(broker, schedule.id) == attrs.evolve(changed, due=schedule.due)
    assert (await broker.scheduler.next_in() or 0.0) > 3600, "a paused one does not count"


async def test_both_of_one_batch_count_in_their_order(shared: Server, opened: Open) -> None:
    broker = await opened(url_of(shared))
    first, second = recurring("s", 100), recurring("s", 200)
    await broker.scheduler.add([first, second, attrs.evolve(deferred(50), id=ScheduleId("x")), deferred(60)])
    assert (await stored(broker, first.id)) == first
    assert len(await broker.scheduler.page()) == 3


async def test_settling_is_compare_and_set_however_many_settle(shared: Server, opened: Open) -> None:
    url = url_of(shared)
    brokers = [await opened(url) for _ in range(3)]
    schedules = [recurring(f"s{n}") for n in range(6)]
    await brokers[0].scheduler.add(schedules)
    batch = [Fired(one.id, one.due, one.due + 60) for one in schedules]
    answers = await asyncio.gather(*(broker.scheduler.settle(batch) for broker in brokers))
    assert [sum(said) for said in zip(*answers, strict=True)] == [1] * 6
    assert [one.due for one in await brokers[2].scheduler.page()] == [one.due + 60 for one in schedules]


async def test_claims_exclude_one_another(shared: Server, opened: Open) -> None:
    url = url_of(shared)
    brokers = [await opened(url) for _ in range(3)]
    await brokers[0].scheduler.add([deferred() for _ in range(20)])
    claims = await asyncio.gather(*(broker.scheduler.claim(limit=15, lease=60.0) for broker in brokers))
    ids = [one.id for _, claimed in claims for one in claimed]
    assert len(ids) == len(set(ids)) == 20
    assert all(len(claimed) <= 15 for _, claimed in claims)


async def test_large_schedules_are_fired_claimed_and_settled_in_pieces(shared: Server, opened: Open) -> None:
    broker = await opened(url_of(shared, 1))
    large = [attrs.evolve(recurring(f"s{n}"), envelope=make.envelope(body=bytes(250_000))) for n in range(4)]
    await broker.scheduler.add(large)
    (_, claimed) = await broker.scheduler.claim(limit=4, lease=0.0)
    assert [one.id for one in claimed] == ["s0", "s1", "s2"], "no more than a transaction holds"
    batch = [Fired(one.id, one.due, one.due + 0.5) for one in large]
    assert await broker.scheduler.settle(batch) == [True] * 4
    assert [await promoted(broker) for _ in range(3)] == [3, 1, 0]


async def test_no_more_than_the_limit_is_fired_at_a_time(shared: Server, opened: Open) -> None:
    broker = await opened(url_of(shared, 4))
    await broker.scheduler.add([deferred() for _ in range(40)])
    assert [await promoted(broker, limit) for limit in (0, 1, 3, 6, 30)] == [0, 1, 3, 6, 30]


async def test_five_promote_at_once_and_each_tick_is_fired_once(shared: Server, opened: Open) -> None:
    url = url_of(shared)
    brokers = [await opened(url) for _ in range(5)]
    schedules = [deferred() for _ in range(300)] + [recurring(f"s{n}") for n in range(20)]
    await brokers[0].scheduler.add(schedules)
    done = 0
    while done < 320:
        done += sum(await asyncio.gather(*(promoted(broker, 40) for broker in brokers)))
    counts = await fired(brokers[0])
    assert len(counts) == counts.total() == done == 320
    assert counts.keys() >= {one.envelope.id for one in schedules if one.trigger is None}
    assert len(await brokers[1].scheduler.page(limit=500)) == 20


async def test_a_commit_whose_answer_is_lost_is_not_done_again(
    shared: Server, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = await opened(url_of(shared, 1))
    schedules = [deferred() for _ in range(10)]
    await broker.scheduler.add(schedules)
    commit = Transactions.commit

    async def silent(self: Transactions, *args: object, **more: object) -> bool:
        await commit(self, *args, **more)  # type: ignore[arg-type]
        monkeypatch.undo()
        raise TimeoutError

    monkeypatch.setattr(Transactions, "commit", silent)
    assert await promoted(broker) == 10
    assert await promoted(broker) == 0
    assert await fired(broker) == dict.fromkeys((one.envelope.id for one in schedules), 1)


async def test_a_transaction_that_was_not_committed_is_done_again(
    shared: Server, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = await opened(url_of(shared, 1))
    schedule = deferred()
    await broker.scheduler.add([schedule])

    async def refused(*_: object, **__: object) -> bool:
        monkeypatch.undo()
        raise TimeoutError

    monkeypatch.setattr(Transactions, "commit", refused)
    with pytest.raises(Exception, match="no answer in time"):
        await promoted(broker)
    assert await promoted(broker) == 1
    assert await fired(broker) == {TaskId(schedule.envelope.id): 1}
