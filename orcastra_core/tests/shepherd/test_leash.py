"""What worker process and shepherd tell each other."""

from __future__ import annotations

import asyncio
import os
import socket

from orcastra_core.model.names import SessionId
from orcastra_core.runtime.leash import Leash, read_messages
from orcastra_core.runtime.stats import Stats


def test_messages_are_whole_lines_and_the_rest_waits() -> None:
    buffer = bytearray(b'{"url": "a"}\n[1]\nnonsense\n\xff\n{"session"')
    assert read_messages(buffer) == [{"url": "a"}]
    assert buffer == b'{"session"'
    buffer += b': "s"}\n'
    assert read_messages(buffer) == [{"session": "s"}]
    assert read_messages(buffer) == []


async def test_it_announces_and_hears_of_its_shepherds_death() -> None:
    ours, theirs = socket.socketpair()
    fd = theirs.detach()
    os.set_inheritable(fd, True)
    leash = Leash(fd)
    assert not os.get_inheritable(fd)
    leash.on_session(SessionId("s"), 2.5)
    assert read_messages(bytearray(ours.recv(4096))) == [{"session": "s", "lease": 2.5}]
    gone = asyncio.Event()
    leash.watch(gone.set)
    ours.close()
    await gone.wait()
    leash.on_session(SessionId("t"), 1.0)  # nobody hears it, and nothing happens
    leash.end(Stats())


async def test_its_last_word_is_what_was_done() -> None:
    ours, theirs = socket.socketpair()
    leash = Leash(theirs.detach())
    leash.watch(lambda: None)
    leash.end(Stats(completed=3))
    with ours:
        (message,) = read_messages(bytearray(ours.recv(4096)))
        assert message["stats"]["completed"] == 3
        assert ours.recv(1) == b""
