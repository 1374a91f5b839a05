"""Tasks that run in processes of their own; imported there too."""

from __future__ import annotations

import ctypes
import os
import signal

from orcastra_core import ExponentialBackoff, GiveUp, Orcastra, RetryLater, RetryPolicy

app = Orcastra("memory://")


@app.task(name="pid", isolation="process")
def pid() -> int:
    return os.getpid()


@app.task(name="later-pid", isolation="process")
async def later_pid() -> int:
    return os.getpid()


@app.task(name="segfault", isolation="process")
def segfault() -> None:
    ctypes.string_at(0)


@app.task(name="hang", isolation="process", timeout=0.2)
def hang() -> None:
    signal.pause()


@app.task(name="refuse", isolation="process")
def refuse(word: str) -> None:
    raise ValueError(word)


@app.task(name="give-up", isolation="process", retry=RetryPolicy(max_attempts=5))
def give_up() -> None:
    raise GiveUp("no use")


@app.task(name="third-time", isolation="process", retry=RetryPolicy(max_attempts=3, backoff=ExponentialBackoff(0.001)))
def third_time(path: str) -> int:
    with open(path, "a") as file:
        file.write(".")
    with open(path) as file:
        tries = len(file.read())
    if tries == 1:
        raise RetryLater(0.001)
    if tries == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return tries


@app.task(name="here")
async def here() -> int:
    return os.getpid()
