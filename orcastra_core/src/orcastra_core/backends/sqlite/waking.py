"""After a COMMIT: tell those whom it concerns."""

from __future__ import annotations

import os
import time

from orcastra_core.backends.sqlite.doorbell import CANCEL, DUE, FENCED, READY, Post
from orcastra_core.backends.sqlite.place import Place
from orcastra_core.backends.sqlite.session_file import Peer
from orcastra_core.backends.sqlite.tx import Effects
from orcastra_core.model.names import QueueName

_SETTLED_NS = 50_000_000
"""A directory's time stamp is this coarse at worst: a listing taken sooner after it may miss a file."""


class Waking:
    """Rings the doorbells that the effects of a transaction call for. In the writer's thread."""

    def __init__(self, place: Place, post: Post) -> None:
        self._place = place
        self._post = post
        self._peers: dict[int, Peer] = {}
        self._listed = -1
        self._turn = 0

    def tell(self, effects: Effects) -> None:
        """Ring for what was committed."""
        if effects.pushes or effects.hints:
            self._post.push(effects.pushes, effects.hints)
        if effects.ready or effects.all_waiters or effects.due_soon:
            self._refresh()
            for queue, count in effects.ready.items():
                if queue not in effects.all_waiters:
                    self._ring_waiters(queue, count)
            for queue in effects.all_waiters:
                self._ring_waiters(queue, len(self._peers))
            if effects.due_soon:
                for number in self._peers:
                    self._post.ring(number, DUE)
        for number in effects.cancels:
            self._post.ring(number, CANCEL)
        for number in effects.fenced:
            self._post.ring(number, FENCED)
            self._place.remove(os.path.basename(self._place.session_path(number)))
            self._place.remove(self._place.bell(number))

    def close(self) -> None:
        """Let go of the files. Idempotent."""
        for peer in self._peers.values():
            peer.close()
        self._peers.clear()
        self._listed = -1

    def _ring_waiters(self, queue: QueueName, count: int) -> None:
        """Ring one waiting session a task, beginning with another one each time."""
        numbers = list(self._peers)
        self._turn += 1
        for step in range(len(numbers)):
            number = numbers[(self._turn + step) % len(numbers)]
            peer = self._peers[number]
            if queue in peer.queues and peer.waits():
                self._post.ring(number, READY)
                count -= 1
                if count <= 0:
                    return

    def _refresh(self) -> None:
        """Take in the sessions that came or went since the last look."""
        changed = self._place.changed_at()
        if changed == self._listed:
            return
        present: set[int] = set()
        for name in self._place.names():
            stem, _, suffix = name.partition(".")
            if suffix == "session" and stem.isdecimal():
                number = int(stem)
                present.add(number)
                if number not in self._peers:
                    try:
                        self._peers[number] = Peer(self._place.session_path(number))
                    except (OSError, ValueError, KeyError, TypeError):
                        continue
        for number in [n for n in self._peers if n not in present]:
            self._peers.pop(number).close()
        self._listed = changed if time.time_ns() - changed > _SETTLED_NS else -1
