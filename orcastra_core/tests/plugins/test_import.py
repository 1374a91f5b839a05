"""What `import orcastra_core` brings into a process, and what it leaves for later."""

from __future__ import annotations

from typing import Any

import pytest

LATER = ("stevedore", "click", "cattrs", "rich", "cronsim", "sqlite3", "multiprocessing.pool")
NEVER = ("redis", "aiokafka", "asyncpg", "grpc", "uvloop", "pytest")
OURS = ("orcastra_core.backends", "orcastra_core.cli", "orcastra_redis", "orcastra_kafka", "orcastra_postgres")


@pytest.mark.parametrize("package", ["orcastra_core", "orcastra"])
def test_import_is_light(site: Any, package: str) -> None:
    printed = site.run(f"""
        import sys, {package}
        names = {[*LATER, *NEVER, *OURS]!r}
        print([name for name in names if name in sys.modules])
        """)
    assert printed.strip() == "[]"


def test_defining_tasks_is_light_too(site: Any) -> None:
    printed = site.run(f"""
        import sys
        from orcastra_core import Orcastra
        app = Orcastra("sqlite:///x.db")
        @app.task(queue="mail")
        async def greet(name: str, age: int) -> dict: ...
        names = {[*LATER, *NEVER, *OURS]!r}
        print([name for name in names if name in sys.modules])
        """)
    assert printed.strip() == "[]"


def test_running_on_memory_needs_no_server_library(site: Any) -> None:
    printed = site.run(f"""
        import asyncio, sys
        from orcastra_core import Orcastra, Until
        app = Orcastra("memory://")
        @app.task
        async def double(n: int) -> int:
            return 2 * n
        async def main():
            async with app:
                handle = await double.submit(2)
                await app.worker(until=Until.EMPTY).run()
                return await handle
        assert asyncio.run(main()) == 4
        names = {["redis", "aiokafka", "asyncpg", "grpc", "click", "rich", "cattrs", "sqlite3"]!r}
        print([name for name in names if name in sys.modules])
        """)
    assert printed.strip() == "[]"


def test_every_public_name_is_there() -> None:
    import orcastra_core

    for name in orcastra_core.__all__:
        assert getattr(orcastra_core, name) is not None
    with pytest.raises(AttributeError):
        _ = orcastra_core.no_such_name


def test_the_meta_dist_has_the_same_names() -> None:
    import orcastra
    import orcastra_core

    assert set(orcastra_core.__all__) <= set(orcastra.__all__)
    for name in orcastra_core.__all__:
        assert getattr(orcastra, name) is getattr(orcastra_core, name)
