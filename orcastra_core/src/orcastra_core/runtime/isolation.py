"""A process of its own for one attempt: a segfault, an OOM kill or a hang ends that attempt and nothing else.

Children come from a fork server that has imported the task's module and runs
no threads, so a start costs milliseconds. The parent holds one end of a
pipe; the child ends itself when the other end closes, so no child outlives its worker.
"""

from __future__ import annotations

import asyncio
import inspect
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import attrs

from orcastra_core.interfaces.serializer import Serializer
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import GiveUp, InvalidOption, RetryLater, Snooze, TaskProcessDied
from orcastra_core.runtime.describe import RemoteFailure, describe
from orcastra_core.runtime.task_spec import TaskSpec

_VALUE, _RAISED = 0, 1


@attrs.frozen
class _Order:
    module: str
    qualname: str
    serializer: Serializer
    body: bytes


class Isolation:
    """Runs attempts in child processes. One for each worker."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._preloaded: set[str] = set()

    async def run(self, spec: TaskSpec, envelope: Envelope, serializer: Serializer) -> bytes:
        """Run one attempt; return its encoded value. Cancelled, it kills the child.

        Raises:
            RemoteFailure: The function raised, or its value could not be written.
            RetryLater, GiveUp, Snooze: The function did.
            TaskProcessDied: The child ended without an answer.
        """
        order = _Order(spec.function.__module__, spec.function.__qualname__, serializer, envelope.body)
        if order.module not in self._preloaded and order.module != "__main__":
            self._preloaded.add(order.module)
            self._context.set_forkserver_preload(sorted(self._preloaded))
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_child, args=(theirs, order), daemon=True, name=f"orcastra {spec.name}")
        # starting writes to the fork server's socket, and starts the server the first time
        await asyncio.to_thread(process.start)
        theirs.close()
        try:
            answer = await _answer(ours)
        finally:
            await _end(process, ours)
        if answer is None:
            raise TaskProcessDied(f"the task's process died{_how(process.exitcode)}")
        kind, content = answer
        if kind == _VALUE:
            value: bytes = content
            return value
        raise content


async def _answer(pipe: Connection) -> tuple[int, Any] | None:
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(pipe.fileno(), readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(pipe.fileno())
    try:
        answer: tuple[int, Any] = await asyncio.to_thread(pipe.recv)
    except (EOFError, OSError):
        return None
    return answer


async def _end(process: BaseProcess, pipe: Connection) -> None:
    pipe.close()
    if process.is_alive() and process.exitcode is None:
        process.kill()
    # a killed child is gone in microseconds; one in the kernel's hands must not hold up the loop
    await asyncio.shield(asyncio.to_thread(process.join, 5.0))


def _how(exitcode: int | None) -> str:
    if exitcode is None:
        return ""
    if exitcode < 0:
        return f" by {signal.Signals(-exitcode).name}"
    return f" with exit status {exitcode}"


def find_function(module: str, qualname: str) -> TaskSpec:
    """Return the spec of the task that ``module`` holds under ``qualname``.

    Raises:
        InvalidOption: There is none: only tasks at a module's top level can run in a process of their own.
    """
    found: Any = sys.modules["__main__"] if module == "__main__" else import_module(module)
    try:
        for part in qualname.split("."):
            found = getattr(found, part)
        spec: TaskSpec = found.spec
    except AttributeError:
        raise InvalidOption(
            f"{module}:{qualname} is no task at its module's top level; isolation='process' needs that"
        ) from None
    return spec


def _child(pipe: Connection, order: _Order) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(pipe,), daemon=True).start()
    pipe.send(_run(order))


def _end_with_parent(pipe: Connection) -> None:
    try:
        pipe.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)


def _run(order: _Order) -> tuple[int, Any]:
    try:
        spec = find_function(order.module, order.qualname)
    except Exception as error:  # noqa: BLE001 - importing the user's module may raise anything
        return _RAISED, RemoteFailure(describe(error))
    try:
        args, kwargs = spec.signature.load(order.serializer, order.body)
        call: Callable[..., Any] = spec.function
        value = call(*args, **kwargs)
        if inspect.iscoroutine(value):
            value = asyncio.run(value)
        return _VALUE, spec.signature.dump_result(order.serializer, value)
    except (RetryLater, GiveUp, Snooze) as steer:
        return _RAISED, steer
    except BaseException as error:  # noqa: BLE001 - whatever a task raises is its outcome
        return _RAISED, RemoteFailure(describe(error, retryable=spec.retry.wants(error)))
