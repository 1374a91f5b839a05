"""Settlements made ready for a script, and its answers read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import attrs

from orcastra_core.model.counts import FRESH, Counts
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import BodyTooLarge, InvalidOption, SerializationError
from orcastra_core.model.settlement import (
    DONE,
    STALE,
    Complete,
    Dead,
    Done,
    Failed,
    Moved,
    Release,
    Retry,
    Settled,
    Settlement,
)
from orcastra_core.serialization.result_codec import encode_result, write_error
from orcastra_redis.publish import Prepared, counts_text, prepare
from orcastra_redis.settings import LIMITS


@attrs.define
class Held:
    """What a session knows of a delivery that it holds.

    Attributes:
        position: Its place in the lane.
        level: The lane's priority, as text.
        queue: The lane's queue.
        task_id: The task.
        counts: As the store said.
        special: What hangs on the task, as the store keeps it; empty for nothing.
        counted: Whether counts stand beside the entry.
    """

    position: bytes
    level: bytes
    queue: str
    task_id: str
    counts: Counts = FRESH
    special: bytes = b""
    counted: bool = False


@attrs.define
class Rich:
    """One settlement that is more than a plain completion, ready for the script.

    Attributes:
        args: What ``settle`` reads.
        emits: What is published with it.
    """

    args: list[Any]
    emits: Prepared | None

    def answer(self, code: bytes) -> Settled:
        """Return what the script's answer means."""
        if code == b"s":
            return STALE
        if self.emits is None:
            return DONE
        return Done(self.emits.answers([said.encode() for said in json.loads(code[1:])] if len(code) > 1 else []))


class Batch:
    """Settlements ready for the script, and what is known of them without it.

    Attributes:
        args: What the script reads.
        size: How many settlements it is sent.
        events: Their events.
    """

    def __init__(self, batch: Sequence[Settlement], holding: dict[Any, Held], now: float, *, verify: bool) -> None:
        self.args: list[Any] = []
        self.events: list[bytes] = []
        self._known: list[Settled | Rich | None] = []  # None: a plain completion
        self._run: list[Any] = []  # ids and results of the plain completions to come
        self._positions: list[bytes] = []
        self._head: tuple[Any, ...] = ()
        taken: set[Any] = set()
        for item in batch:
            held = _held(item, holding)
            if held is None or held.position in taken:
                self._known.append(STALE)
                continue
            try:
                self._add(item, held, now, verify)
            except (InvalidOption, BodyTooLarge) as error:
                self._known.append(Failed(error))
            except SerializationError as error:
                self._known.append(Failed(InvalidOption(str(error))))
            else:
                taken.add(held.position)
                self.events.append(item.events)
        self._end_run()

    @property
    def size(self) -> int:
        """How many are sent."""
        return len(self.events)

    def answers(self, said: bytes) -> list[Settled]:
        """Return what the script's answer means; an empty one: all that was sent took effect."""
        codes = iter(said.split(b"\n") if said else [b"d"] * self.size)
        answers: list[Settled] = []
        for known in self._known:
            if known is None:
                answers.append(STALE if next(codes) == b"s" else DONE)
            elif isinstance(known, Rich):
                answers.append(known.answer(next(codes)))
            else:
                answers.append(known)
        return answers

    def _add(self, item: Settlement, held: Held, now: float, verify: bool) -> None:
        if type(item) is Complete and not (item.emit or held.special or held.counted or verify):
            result, ttl, reply = _result(item, held)
            head = (held.level, held.queue, ttl, reply)
            if head != self._head:
                self._end_run()
                self._head = head
            self._positions.append(held.position)
            self._run += (held.task_id, result)
            self._known.append(None)
            return
        rich = _rich(item, held, now, verify)
        self._end_run()
        self.args += rich.args
        self._known.append(rich)

    def _end_run(self) -> None:
        if self._positions:
            self.args += (b"P", *self._head, len(self._positions))
            self.args += self._positions
            self.args += self._run
            self._positions, self._run = [], []
        self._head = ()


def _held(item: Settlement, holding: dict[Any, Held]) -> Held | None:
    try:
        return holding.get(item.delivery.receipt)
    except TypeError:  # a receipt that cannot be hashed is none of ours
        return None


def _rich(item: Settlement, held: Held, now: float, verify: bool) -> Rich:
    kind = type(item)
    opts: dict[str, Any] = {"m": 0}
    if verify:
        opts["v"] = 1
    if held.special:
        opts["s"] = held.special.decode()
    if held.counted:
        opts["h"] = 1
    letter, ttl, reply, result = b"M", 0, "", b""
    emits, behind = None, list[Any]()
    if isinstance(item, Complete | Dead):
        letter = b"C" if kind is Complete else b"D"
        result, ttl, reply = _result(item, held)
        if item.emit:
            emits = prepare(item.emit, now)
            behind += emits.args
            opts["m"] = len(behind)
        if isinstance(item, Dead):
            opts["e"] = item.reason.encode("utf-8", "backslashreplace").decode()
            opts["c"] = counts_text(held.counts)
            behind.append(write_error(item.error))
    elif isinstance(item, Retry | Release):
        if not item.after <= LIMITS.max_delay:
            raise InvalidOption(f"{item.after} s is longer than this broker delays")
        letter = b"R" if kind is Retry else b"L"
        opts["c"] = counts_text(held.counts.retried() if kind is Retry else held.counts.handed_back())
        if item.after > 0:
            opts["a"] = item.after
    elif isinstance(item, Moved):
        opts["c"] = counts_text(held.counts)
    else:
        raise InvalidOption(f"{kind.__name__} is no settlement")
    head = [letter, held.level, held.queue, held.position, held.task_id, ttl, reply, result]
    return Rich([*head, json.dumps(opts, separators=(",", ":")), *behind], emits)


def _result(item: Complete | Dead, held: Held) -> tuple[bytes, int, str]:
    result, envelope = item.result, item.delivery.envelope
    if result.id != held.task_id:
        raise InvalidOption(f"a result of {result.id} cannot end {held.task_id}")
    if len(result.value) > LIMITS.max_body:
        raise BodyTooLarge(f"the result has {len(result.value)} bytes; at most {LIMITS.max_body} are taken")
    reply = envelope.reply if isinstance(envelope, Envelope) else None
    return encode_result(result), max(0, round(result.ttl * 1000)), reply or ""
