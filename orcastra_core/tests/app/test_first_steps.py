"""What the design promises users, line by line."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from core_doubles import at_work, depth

from orcastra_core import Call, ExponentialBackoff, Handle, Orca, Orcastra, RetryPolicy
from orcastra_core.model.errors import InvalidName, InvalidOption


def shop(url: str) -> tuple[Orcastra, Any]:
    app = Orcastra(url)

    @app.task(queue="mail", retry=RetryPolicy(max_attempts=3, backoff=ExponentialBackoff(initial=1.0)), timeout=30)
    async def greet_user(name: str, age: int) -> dict[str, Any]:
        """Greet."""
        return {"text": f"hello {name}", "age": age}

    return app, greet_user


async def test_the_example_as_written(url: str) -> None:
    app, greet_user = shop(url)
    people = [("Bob", 30), ("Cid", 40), ("Dan", 50)]
    async with app, at_work(app):
        handle = await greet_user.submit("Alice", age=25)
        result = await handle.wait(timeout=10)
        assert result.success
        assert result.value == {"text": "hello Alice", "age": 25}
        assert result.error is None
        assert result.id == handle.id
        assert await handle == {"text": "hello Alice", "age": 25}

        later = await greet_user.options(delay=0.05, dedup="alice", priority=5).submit("Alice", 25)
        again = await greet_user.options(dedup="alice").submit("Alice", 25)
        assert again.id == later.id
        assert again.duplicate
        assert not later.duplicate
        assert await again == {"text": "hello Alice", "age": 25}

        outcomes = await app.submit_many(greet_user.call(n, a) for n, a in people)
        assert [outcome.ok for outcome in outcomes] == [True] * 3
        texts = [(await outcome.handle)["text"] for outcome in outcomes]
        assert texts == ["hello Bob", "hello Cid", "hello Dan"]


async def test_a_plain_call_still_runs_the_function() -> None:
    app, greet_user = shop("memory://")
    assert await greet_user("Eve", 1) == {"text": "hello Eve", "age": 1}

    @app.task
    def double(n: int) -> int:
        return 2 * n

    assert double(21) == 42


def test_an_orca_looks_like_its_function() -> None:
    _, greet_user = shop("memory://")
    assert isinstance(greet_user, Orca)
    assert greet_user.__name__ == "greet_user"
    assert greet_user.__doc__ == "Greet."
    assert greet_user.__module__ == __name__
    assert greet_user.name.endswith("greet_user")
    assert "greet_user" in repr(greet_user)
    assert isinstance(greet_user.call("x", 1), Call)


async def test_a_synchronous_task_runs_in_a_thread(url: str) -> None:
    import threading

    app = Orcastra(url)

    @app.task
    def where() -> tuple[bool, int]:
        return threading.current_thread() is threading.main_thread(), threading.get_ident()

    async with app, at_work(app):
        in_main, ident = await (await where.submit())
        assert not in_main
        assert ident != threading.get_ident()


async def test_options_make_a_frozen_copy(url: str) -> None:
    app, greet_user = shop(url)
    slow = greet_user.options(queue="slow", timeout=5)
    assert slow is not greet_user
    assert type(slow) is type(greet_user)
    both = slow.options(priority=3)
    async with app:
        await greet_user.submit("a", 1)
        await slow.submit("a", 1)
        await both.submit("a", 1)
        assert (await depth(app, "mail")).ready == 1, "the task itself has not changed"
        assert (await depth(app, "slow")).ready == 2


async def test_a_handle_of_another_client(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    app, greet_user = shop(url)
    other = Orcastra(url)
    async with app, other, at_work(app):
        handle = await greet_user.submit("Alice", 25)
        elsewhere = other.handle(handle.id)
        assert isinstance(elsewhere, Handle)
        assert (await elsewhere.wait(timeout=5)).value == {"text": "hello Alice", "age": 25}
        assert await other.handle(handle.id) == await handle


async def test_two_apps_on_one_memory_name() -> None:
    app, greet_user = shop("memory://first-steps")
    other, _ = shop("memory://first-steps")
    apart, _ = shop("memory://first-steps?domain=other")
    async with app, other, apart:
        handle = await greet_user.submit("Alice", 25)
        assert (await depth(other, "mail")).ready == 1
        assert (await depth(apart, "mail")).ready == 0
        async with at_work(other):
            assert (await handle)["age"] == 25


async def test_memory_without_a_name_is_the_apps_own() -> None:
    app, greet_user = shop("memory://")
    other, _ = shop("memory://")
    async with app, other:
        await greet_user.submit("Alice", 25)
        assert (await depth(other, "mail")).ready == 0


async def test_the_environment_names_the_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCASTRA_URL", "memory://from-the-environment?lease=4")
    assert str(Orcastra().url) == "memory://from-the-environment?lease=4"
    assert str(Orcastra("memory://given").url) == "memory://given"
    monkeypatch.delenv("ORCASTRA_URL")
    with pytest.raises(InvalidOption, match=r"name a broker: Orcastra\('sqlite:///orcastra.db'\), or set ORCASTRA_URL"):
        Orcastra()


async def test_a_task_by_its_name() -> None:
    app, greet_user = shop("memory://")
    async with app:
        handle = await app.orca(greet_user.name).submit("Alice", 25)
        assert handle.id
    with pytest.raises(InvalidName, match="did you mean"):
        app.orca(greet_user.name.replace("greet", "great"))


async def test_json_instead_of_cbor(url: str) -> None:
    app = Orcastra(url, serializer="json")

    @app.task
    async def double(n: int) -> int:
        return 2 * n

    async with app, at_work(app):
        handle = await double.submit(21)
        assert await handle == 42
        reader = Orcastra(url) if url.startswith("sqlite") else app
        async with reader:
            assert await reader.handle(handle.id) == 42, "whoever reads goes by the content type"


async def test_a_worker_reads_what_another_serializer_wrote() -> None:
    writer = Orcastra("memory://two-serializers", serializer="json")
    app = Orcastra("memory://two-serializers")

    async def double(n: int) -> int:
        return 2 * n

    submitted = writer.task(name="double")(double)
    app.task(name="double")(double)
    async with writer, app, at_work(app):
        assert await (await submitted.submit(4)) == 8


async def test_submit_takes_effect_inside_a_task_at_once(url: str) -> None:
    app = Orcastra(url)

    @app.task
    async def child(n: int) -> int:
        return n + 1

    @app.task
    async def parent() -> int:
        return await (await child.submit(1)) + 10

    async with app, at_work(app):
        async with asyncio.timeout(5):
            assert await (await parent.submit()) == 12
