"""Starting, asking, stopping and killing other processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

_CHILD = Path(__file__).parent / "child.py"


class Failure(Exception):  # noqa: N818 - the name of what the child's call raised
    """What a call in the other process raised, by name."""


class Actor:
    """Another process on the file."""

    def __init__(self, url: str) -> None:
        environment = os.environ | {"PYTHONPATH": str(_CHILD.parent.parent)}
        self._process = subprocess.Popen(
            [sys.executable, str(_CHILD), url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.pid = self._process.pid

    async def ask(self, do: str, **arguments: Any) -> Any:
        """Have it do something and return its answer. Raises Failure for an error."""
        self.tell(do, **arguments)
        reply = await self.hear()
        if "error" in reply:
            raise Failure(reply["error"])
        return reply["answer"]

    def tell(self, do: str, **arguments: Any) -> None:
        """Have it do something, without waiting."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self._process.stdin.flush()

    async def hear(self) -> Any:
        """Return the next thing that it says."""
        assert self._process.stdout is not None
        line = await asyncio.to_thread(self._process.stdout.readline)
        assert line, "the other process ended"
        return json.loads(line)

    def last_words(self) -> list[Any]:
        """Return all that it said before it was killed."""
        assert self._process.stdout is not None
        said = self._process.stdout.read()
        return [json.loads(line) for line in said.splitlines() if line.endswith("]")]

    async def stop(self) -> None:
        """Stop it, and return once it is stopped."""
        os.kill(self.pid, signal.SIGSTOP)
        await self.stopped()

    async def stopped(self) -> None:
        """Return once it is stopped, by whomever."""
        await asyncio.to_thread(os.waitpid, self.pid, os.WUNTRACED)

    def go_on(self) -> None:
        """Let a stopped process go on."""
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self._process.wait()

    def end(self) -> None:
        """End it in any case, and let go of its pipes."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    pass
