"""The other process: does what it reads from its standard input, a line of JSON each, and answers by lines."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from typing import Any

from orcastra_core.backends.sqlite import SqliteBroker
from orcastra_core.backends.sqlite.session import SqliteSession
from orcastra_core.backends.sqlite.tx import Tx
from orcastra_core.model.broker_url import BrokerUrl
from orcastra_core.model.delivery import Delivery
from orcastra_core.model.errors import OrcastraError
from orcastra_core.model.published import Stored
from orcastra_core.model.settlement import Done
from sqlite_actors.making import QUEUE, completed, envelopes, want


class Child:
    """A client of the file, and a worker on it."""

    def __init__(self, url: str) -> None:
        self.broker = SqliteBroker(BrokerUrl.parse(url))
        self.session: SqliteSession | None = None
        self.held: list[Delivery] = []
        self.number = 0

    async def open(self, lease: float) -> str:
        await self.broker.open()
        session = await self.broker.open_session([QUEUE], lease=lease)
        assert isinstance(session, SqliteSession)
        self.session = session
        return session.id

    async def publish(self, number: int) -> list[str]:
        batch = envelopes(number)
        answers = await self.broker.publish(batch)
        return [one.id for one, said in zip(batch, answers, strict=True) if isinstance(said, Stored)]

    async def fetch(self, limit: int, wait: float = 0.0) -> list[str]:
        assert self.session is not None
        got = await self.session.fetch(want(limit), wait=wait)
        self.held += got
        return [one.envelope.id for one in got]

    async def settle(self) -> list[str]:
        """Complete all that is held; answer with the ids that were Done."""
        assert self.session is not None
        batch, self.held = self.held, []
        self.number += 1
        answers = await self.session.settle([completed(one) for one in batch], number=self.number)
        return [one.envelope.id for one, said in zip(batch, answers, strict=True) if isinstance(said, Done)]

    async def drain(self, limit: int) -> list[str]:
        """Fetch and complete until nothing comes any more."""
        done: list[str] = []
        while await self.fetch(limit):
            done += await self.settle()
        return done

    async def sweep(self) -> dict[str, list[str]]:
        swept = await self.broker.sweep(limit=1000)
        return {"sessions": [*swept.sessions], "lost": [one.id for one in swept.lost]}

    async def fork(self) -> int:
        """Fork a child that outlives this process; answer with its pid."""
        pid = os.fork()
        if pid == 0:
            signal.pause()
            os._exit(0)
        return pid

    async def stop_as_it_writes(self) -> None:
        """Stop this process in the middle of a write transaction; it goes on once it is told to."""
        core = self.broker._open_core()

        def work(tx: Tx) -> None:
            # to this very thread, so that it does not get as far as the COMMIT
            signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)

        await core.write(work)

    async def churn(self) -> None:
        """Publish and settle without end, and say what was confirmed, until killed."""
        while True:
            for task_id in await self.publish(20):
                say(["stored", task_id])
            await self.fetch(30)
            for task_id in await self.settle():
                say(["done", task_id])

    async def leave(self) -> None:
        assert self.session is not None
        await self.session.leave()

    async def close(self) -> None:
        await self.broker.close()


def say(answer: object) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


async def main() -> None:
    child = Child(sys.argv[1])
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command: dict[str, Any] = json.loads(line)
        try:
            say({"answer": await getattr(child, command.pop("do"))(**command)})
        except OrcastraError as error:
            say({"error": type(error).__name__})
    await child.close()


if __name__ == "__main__":
    asyncio.run(main())
