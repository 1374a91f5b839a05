"""What cannot work is refused at ``submit``: task and parameter are named, and nothing is stored."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import attrs
import pytest
from core_doubles import depth, events_of

from orcastra_core import Dedup, DedupMode, FixedBackoff, Orca, Orcastra, RetryPolicy
from orcastra_core.model.errors import (
    BodyTooLarge,
    InvalidArguments,
    InvalidName,
    InvalidOption,
    OrcastraError,
    PublishRefused,
    SerializationError,
    UsageError,
)

Submit = Callable[..., Awaitable[object]]


@attrs.frozen
class Order:
    item: str
    count: int


@pytest.fixture
async def app(url: str) -> AsyncIterator[Orcastra]:
    app = Orcastra(url)

    @app.task(name="shop.any")
    async def take_any(value: Any, other: Any = None) -> None: ...

    @app.task(name="shop.typed")
    async def typed(name: str, age: int, *, order: Order | None = None) -> None: ...

    @app.task(name="shop.when")
    async def when(moment: datetime) -> None: ...

    async with app:
        yield app
        assert (await depth(app)).ready == 0, "something was stored"
        assert (await depth(app)).delayed == 0, "something was stored"
        assert await events_of(app) == []


async def refused(kind: type[OrcastraError], submit: Submit, *args: Any, **kwargs: Any) -> str:
    with pytest.raises(kind) as caught:
        await submit(*args, **kwargs)
    return str(caught.value)


async def test_an_argument_that_cannot_be_written(app: Orcastra) -> None:
    task = app.orca("shop.any")
    for bad in (object(), {"deep": [1, object()]}, lambda: None, {1, 2, object()}, open):
        said = await refused(SerializationError, task.submit, bad)
        assert "'shop.any'" in said
        assert "'value'" in said
    said = await refused(SerializationError, task.submit, 1, other={"deep": [object()]})
    assert "'other'" in said
    assert "['deep'][0]" in said


async def test_a_cycle_and_endless_depth(app: Orcastra) -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    assert "'shop.any'" in await refused(SerializationError, app.orca("shop.any").submit, cycle)


async def test_a_wrong_list_of_arguments(app: Orcastra) -> None:
    task = app.orca("shop.typed")
    assert "missing parameter 'age'" in await refused(InvalidArguments, task.submit, "Alice")
    assert "no parameter 'agee'" in await refused(InvalidArguments, task.submit, "Alice", agee=1)
    assert "takes 2 positional" in await refused(InvalidArguments, task.submit, "Alice", 1, 2)
    assert "'name' twice" in await refused(InvalidArguments, task.submit, "Alice", 1, name="Bob")
    for attempt in (("Alice",), ("Alice", 1, 2)):
        assert "'shop.typed'" in await refused(InvalidArguments, task.submit, *attempt)
    with pytest.raises(TypeError):
        await task.submit()


async def test_a_wrong_type(app: Orcastra) -> None:
    task = app.orca("shop.typed")
    said = await refused(InvalidArguments, task.submit, "Alice", "25")
    assert "'shop.typed': parameter 'age': expected int, got a str" in said
    assert "25" not in said, "arguments never go into messages"
    said = await refused(InvalidArguments, task.submit, "Alice", 25, order={"item": "x"})
    assert "'order'" in said


async def test_a_naive_datetime_as_an_argument(app: Orcastra) -> None:
    naive = datetime(2030, 1, 1)
    for attempt in (app.orca("shop.when").submit(naive), app.orca("shop.any").submit({"at": naive})):
        with pytest.raises((SerializationError, InvalidArguments)) as caught:
            await attempt
        assert "naive" in str(caught.value) or "time zone" in str(caught.value)
        assert "'moment'" in str(caught.value) or "'value'" in str(caught.value)


async def test_a_body_that_is_too_large(app: Orcastra) -> None:
    said = await refused(BodyTooLarge, app.orca("shop.any").submit, "x" * 262_144)
    assert "task shop.any" in said
    assert "262144" in said
    assert "store large data elsewhere" in said


@pytest.mark.parametrize(
    "options, says",
    [
        ({"at": datetime(2030, 1, 1)}, r"at=.* is naive: give it a time zone"),
        ({"expires": datetime(2030, 1, 1)}, r"expires=.* is naive"),
        ({"at": 5}, "at=5: expected an aware datetime"),
        ({"at": None}, "at=None: expected an aware datetime"),
        ({"delay": -1}, "delay=-1: expected seconds, at least 0"),
        ({"delay": "5"}, "delay='5'"),
        ({"delay": float("nan")}, "delay=nan"),
        ({"delay": True}, "delay=True"),
        ({"delay": timedelta(seconds=-1)}, r"delay=-1\.0"),
        ({"delay": 1, "at": datetime.fromisoformat("2030-01-01T00:00Z")}, "both say when"),
        ({"priority": "high"}, "priority='high': expected a whole number"),
        ({"priority": 1.0}, r"priority=1\.0"),
        ({"priority": True}, "priority=True"),
        ({"timeout": -1}, "timeout=-1"),
        ({"timeout": "soon"}, "timeout='soon'"),
        ({"result_ttl": float("inf")}, "result_ttl=inf"),
        ({"queue": ""}, "queue name must not be empty"),
        ({"queue": 5}, "queue name must be a str"),
        ({"dedup": 5}, "dedup=5: expected text or a Dedup"),
        ({"dedup": ""}, "dedup name must not be empty"),
        ({"dedup": Dedup("")}, "dedup"),
        ({"dedup": Dedup("k", DedupMode.WINDOW)}, "window"),
        ({"dedup": Dedup("k", DedupMode.WINDOW, window=-1)}, "window"),
        ({"order_by": ""}, "ordering key name must not be empty"),
        ({"headers": {"trace": 1}}, "'trace' is not named x-<dist>-<name>"),
        ({"headers": {5: 1}}, "headers"),
        ({"headers": "x-a-b"}, "headers"),
    ],
)
async def test_bad_options(app: Orcastra, options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        app.orca("shop.any").options(**options)
    assert isinstance(caught.value, (InvalidOption, InvalidName))
    assert "shop.any" in str(caught.value)


async def test_delay_and_at_in_two_steps(app: Orcastra) -> None:
    at = datetime.fromisoformat("2030-01-01T00:00Z")
    with pytest.raises(InvalidOption, match="both say when"):
        app.orca("shop.any").options(delay=1).options(at=at)
    with pytest.raises(InvalidOption, match="both say when"):
        app.orca("shop.any").options(at=at).options(delay=1)
    assert isinstance(app.orca("shop.any").options(delay=1).options(delay=None).options(at=at), Orca)


async def test_an_unknown_option_is_a_type_error(app: Orcastra) -> None:
    with pytest.raises(TypeError, match="prio"):
        app.orca("shop.any").options(prio=5)  # type: ignore[call-arg]


async def test_a_priority_outside_the_limits_is_refused_never_clamped(app: Orcastra) -> None:
    said = await refused(PublishRefused, app.orca("shop.any").options(priority=10_000).submit, 1)
    assert "shop.any" in said
    assert "10000" in said


async def test_a_delay_beyond_the_limits(app: Orcastra) -> None:
    far = app.orca("shop.any").options(delay=timedelta(days=5000))
    assert "shop.any" in await refused(PublishRefused, far.submit, 1)


@pytest.mark.parametrize(
    "options",
    [
        {"queue": " "},
        {"name": ""},
        {"timeout": 0},
        {"timeout": "30"},
        {"timeout": -5},
        {"retry": 3},
        {"priority": "high"},
        {"priority": True},
        {"result_ttl": -1},
        {"retry": FixedBackoff(1)},
    ],
)
def test_bad_options_of_a_task_are_refused_where_the_decorator_stands(options: dict[str, Any]) -> None:
    app = Orcastra("memory://")
    with pytest.raises(UsageError):

        @app.task(**options)
        async def broken() -> None: ...

    assert not app.tasks


def test_what_is_no_function() -> None:
    app = Orcastra("memory://")
    with pytest.raises(
        InvalidOption, match=r"@app.task decorates functions, not str; with options write @app.task\(queue"
    ):
        app.task("mail")  # type: ignore[call-overload]


def test_two_tasks_of_one_name() -> None:
    app = Orcastra("memory://")

    @app.task(name="same")
    async def one() -> None: ...

    with pytest.raises(InvalidOption, match="'same' is already registered"):

        @app.task(name="same")
        async def other() -> None: ...


@pytest.mark.parametrize(
    "options",
    [
        {"concurrency": 0},
        {"concurrency": 1.5},
        {"threads": -1},
        {"lease": "10"},
        {"grace": -1},
        {"queues": ["ok", ""]},
        {"unknown_task_grace": float("nan")},
    ],
)
async def test_bad_options_of_a_worker(options: dict[str, Any]) -> None:
    async with Orcastra("memory://") as app:
        with pytest.raises(UsageError):
            app.worker(**options)


@pytest.mark.parametrize("events", ["on", 2, None])
def test_bad_options_of_an_app(events: Any) -> None:
    with pytest.raises(InvalidOption, match="events="):
        Orcastra("memory://", events=events)


def test_a_retry_policy_keeps_its_word() -> None:
    app = Orcastra("memory://")

    @app.task(retry=RetryPolicy(max_attempts=2))
    async def fine() -> None: ...

    assert fine.spec.retry.max_attempts == 2
