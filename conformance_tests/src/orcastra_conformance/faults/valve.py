"""What becomes of the bytes that come to a proxy."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Hashable

import attrs


class Way(enum.Enum):
    """A direction."""

    UP = "from client to server"
    DOWN = "from server to client"


BOTH = (Way.UP, Way.DOWN)


class Flow(enum.Enum):
    """What becomes of the bytes that go one way."""

    PASS = "pass"
    HOLD = "hold"
    SWALLOW = "swallow"


@attrs.define
class Passed:
    """What went through, one way.

    Attributes:
        chunks: How many pieces, as they came in.
        size: How many bytes.
    """

    chunks: int = 0
    size: int = 0


@attrs.define(eq=False)
class Trap:
    """Something that happens once, at a certain chunk.

    It watches for a connection on which one of ``patterns`` goes ``way``. That chunk is number 0; those that follow
    on the same connection, either way, are counted on. At number ``at`` it goes off: ``part`` of the chunk
    still goes through (0.0 nothing, 1.0 all), then ``then`` is called; or before, if it is to be ``first``.

    Attributes:
        sprung: Set when it has gone off.
    """

    patterns: tuple[bytes, ...]
    way: Way
    at: int
    part: float
    then: Callable[[], None]
    first: bool
    sprung: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)
    _tails: dict[Hashable, bytes] = attrs.field(factory=dict, init=False)
    _watched: Hashable = attrs.field(default=None, init=False)
    _number: int = attrs.field(default=-1, init=False)

    @property
    def seen(self) -> bool:
        """Whether a pattern went by."""
        return self._watched is not None

    def goes_off(self, link: Hashable, way: Way, chunk: bytes) -> bool:
        """Look at a chunk; return whether it is the one."""
        if self.sprung.is_set():
            return False
        if self._watched is None and way is self.way:
            seen = self._tails.get(link, b"") + chunk  # a pattern may lie across chunks
            if any(pattern in seen for pattern in self.patterns):
                self._watched = link
            self._tails[link] = seen[max(0, len(seen) - max(map(len, self.patterns)) + 1) :]
        if self._watched is not link:
            return False
        self._number += 1
        if self._number < self.at:
            return False
        self.sprung.set()
        return True


class Valve:
    """Decides, chunk by chunk, for all connections of a proxy.

    Attributes:
        flow: What happens now, by way.
        passed: What went through, by way.
        trap: What waits for its chunk.
        held: The chunks that are kept back, by connection and way.
    """

    def __init__(self) -> None:
        self.flow = dict.fromkeys(BOTH, Flow.PASS)
        self.passed = {way: Passed() for way in BOTH}
        self.trap: Trap | None = None
        self.held: dict[tuple[Hashable, Way], bytes] = {}
        self._changed = asyncio.Event()

    def turn(self, flow: Flow, *ways: Way) -> None:
        """Change what happens from now on, by default both ways."""
        for way in ways or BOTH:
            self.flow[way] = flow
        self._changed.set()
        self._changed = asyncio.Event()

    async def admit(self, link: Hashable, way: Way, chunk: bytes) -> bytes | None:
        """Return what goes on of a chunk, as soon as it may; None: it is swallowed."""
        if self.trap is not None and self.trap.goes_off(link, way, chunk):
            chunk = chunk[: int(len(chunk) * self.trap.part)]
            if self.trap.first:
                self.spring()
        try:
            while self.flow[way] is Flow.HOLD:
                self.held[link, way] = chunk
                await self._changed.wait()
        finally:
            self.held.pop((link, way), None)
        if self.flow[way] is Flow.SWALLOW:
            return None
        if chunk:
            self.passed[way].chunks += 1
            self.passed[way].size += len(chunk)
        return chunk

    def spring(self) -> None:
        """Have the trap's consequence follow, if it has gone off."""
        trap = self.trap
        if trap is not None and trap.sprung.is_set():
            self.trap = None
            trap.then()
