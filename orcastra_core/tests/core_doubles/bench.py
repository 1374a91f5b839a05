"""A task that begins, and ends when it may."""

from __future__ import annotations

import asyncio

from orcastra_core import Orcastra


class Bench:
    """An app whose task begins, and ends when it may."""

    def __init__(self, url: str) -> None:
        self.app = app = Orcastra(url)
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.stopped: list[BaseException] = []
        self.runs = 0

        @app.task(name="work")
        async def work() -> str:
            self.runs += 1
            self.begun.set()
            try:
                await self.go_on.wait()
            except asyncio.CancelledError as error:
                self.stopped.append(error)
                raise
            return "done"

        self.work = work
