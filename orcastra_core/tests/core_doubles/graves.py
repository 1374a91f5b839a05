"""What the tests of dead letters begin and end with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orcastra_core import Orcastra, QueueSpec
from orcastra_core.model.dead_letter import DeadLetter


def make(url: str, queues: Sequence[QueueSpec] = ()) -> tuple[Orcastra, Any]:
    app = Orcastra(url, queues=queues)

    @app.task(name="fine")
    async def fine() -> str:
        return "fine"

    return app, fine


async def letters(app: Orcastra) -> list[DeadLetter]:
    assert app.broker.dead_letters is not None
    return list(await app.broker.dead_letters.page())
