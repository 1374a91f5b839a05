"""Tasks as the decorator types them: bare and with options, async and sync."""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, assert_type

from orcastra_core import Call, Dedup, DedupMode, ExponentialBackoff, Handle, Orca, Orcastra, RetryPolicy
from orcastra_core.app.orca import AsyncOrca, SyncOrca

app = Orcastra("memory://")


@app.task
async def bare(name: str, age: int = 3, *, loud: bool = False) -> list[str]:
    return [name] * age if loud else []


@app.task
def bare_sync(name: str) -> int:
    return len(name)


@app.task(queue="mail", retry=RetryPolicy(max_attempts=3, backoff=ExponentialBackoff(initial=1.0)), timeout=30)
async def optioned(name: str, age: int) -> dict[str, int]:
    return {name: age}


@app.task(name="sync", priority=3, result_ttl=60)
def optioned_sync(*numbers: int, **names: str) -> bytes:
    return bytes(numbers)


@app.task()
async def nothing() -> None: ...


async def calling_runs_the_function() -> None:
    assert_type(await bare("a"), list[str])
    assert_type(await bare("a", 3, loud=True), list[str])
    assert_type(bare_sync("a"), int)
    assert_type(await optioned("a", 1), dict[str, int])
    assert_type(optioned_sync(1, 2, a="b"), bytes)
    assert_type(await nothing(), None)


async def submit_has_the_functions_parameters() -> None:
    assert_type(await bare.submit("a"), Handle[list[str]])
    assert_type(await bare.submit("a", age=3, loud=True), Handle[list[str]])
    assert_type(await bare_sync.submit(name="a"), Handle[int])
    assert_type(await optioned.submit("a", 1), Handle[dict[str, int]])
    assert_type(await optioned_sync.submit(1, 2, a="b"), Handle[bytes])
    assert_type(await nothing.submit(), Handle[None])


async def wrong_arguments_are_refused() -> None:
    await bare.submit()  # type: ignore[call-arg]
    await bare.submit(5)  # type: ignore[arg-type]
    await bare.submit("a", "b")  # type: ignore[arg-type]
    await bare.submit("a", 3, True)  # type: ignore[call-arg]
    await bare.submit("a", agee=3)  # type: ignore[call-arg]
    await bare.submit("a", loud="yes")  # type: ignore[arg-type]
    await bare_sync.submit(b"a")  # type: ignore[arg-type]
    await optioned.submit("a")  # type: ignore[call-arg]
    await optioned.submit("a", 1, 2)  # type: ignore[call-arg]
    await optioned_sync.submit("1")  # type: ignore[arg-type]
    await optioned_sync.submit(1, a=2)  # type: ignore[arg-type]
    await nothing.submit(1)  # type: ignore[call-arg]
    await bare(5)  # type: ignore[arg-type]
    bare_sync()  # type: ignore[call-arg]


async def so_does_call() -> None:
    assert_type(bare.call("a", loud=True), Call[list[str]])
    assert_type(bare_sync.call("a"), Call[int])
    assert_type(nothing.call(), Call[None])
    bare.call(5)  # type: ignore[arg-type]
    optioned.call("a")  # type: ignore[call-arg]


async def options_keep_the_types() -> None:
    later = optioned.options(delay=60, dedup="alice", priority=5)
    assert_type(await later.submit("a", 1), Handle[dict[str, int]])
    assert_type(await later("a", 1), dict[str, int])
    assert_type(later.call("a", 1), Call[dict[str, int]])
    sync = bare_sync.options(queue="slow").options(timeout=timedelta(seconds=5))
    assert_type(await sync.submit("a"), Handle[int])
    assert_type(sync("a"), int)
    await later.submit(5, 1)  # type: ignore[arg-type]
    await sync.submit()  # type: ignore[call-arg]


def every_option_has_its_type() -> None:
    bare.options(
        queue="q",
        delay=timedelta(seconds=1),
        priority=1,
        dedup=Dedup("k", DedupMode.WINDOW, 5.0),
        order_by="k",
        expires=datetime(2030, 1, 1, tzinfo=UTC),
        timeout=1.5,
        result_ttl=timedelta(hours=1),
        headers={"x-shop-trace": 1},
    )
    bare.options(at=datetime(2030, 1, 1, tzinfo=UTC), expires=5, dedup=None, order_by=None, delay=None)
    bare.options(delay="soon")  # type: ignore[arg-type]
    bare.options(at=5)  # type: ignore[arg-type]
    bare.options(priority="high")  # type: ignore[arg-type]
    bare.options(dedup=5)  # type: ignore[arg-type]
    bare.options(queue=5)  # type: ignore[arg-type]
    bare.options(prio=5)  # type: ignore[call-arg]
    bare.options("mail")  # type: ignore[call-arg]


def orcas_by_their_base(orca: Orca[..., Any], exact: Orca[[str], int]) -> None:
    orcas_by_their_base(bare, bare_sync)
    orcas_by_their_base(app.orca("x"), exact)
    orcas_by_their_base(orca, bare)  # type: ignore[arg-type]


def the_two_kinds() -> None:
    a: AsyncOrca[[], None] = nothing
    s: SyncOrca[[str], int] = bare_sync
    _ = (a, s)
    wrong: SyncOrca[[], None] = nothing  # type: ignore[assignment]
    _ = wrong


class Shop:
    """Tasks may be made from static functions of a class, too."""

    @staticmethod
    async def restock(item: str, count: int) -> bool:
        return count > len(item)


restock = app.task(Shop.restock)
renamed = app.task(name="again")(Shop.restock)


async def registered_by_hand() -> None:
    assert_type(await restock.submit("a", 1), Handle[bool])
    assert_type(await renamed.submit("a", 1), Handle[bool])
    await restock.submit(1, "a")  # type: ignore[arg-type]


@app.task(timeout="soon")  # type: ignore[call-overload, untyped-decorator]
async def bad_timeout() -> None: ...


@app.task(qeue="mail")  # type: ignore[call-overload, untyped-decorator]
async def bad_option() -> None: ...
