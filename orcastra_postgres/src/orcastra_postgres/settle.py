"""Settlements made ready for the store, and its answers read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import BodyTooLarge, InvalidOption, SerializationError
from orcastra_core.model.ids import TaskId
from orcastra_core.model.published import Stored
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
from orcastra_postgres.core import LARGEST_PUSHED, Core
from orcastra_postgres.publish import Prepared, prepare
from orcastra_postgres.settings import LIMITS

_HINT_GRACE = 10.0
"""Seconds a result is kept at least that is too large to be pushed, so that who is told of it can read it."""
_KINDS: Final = {Complete: "C", Dead: "D", Moved: "M", Retry: "R", Release: "L"}


@attrs.frozen
class Held:
    """What a session knows of a delivery that it holds.

    Attributes:
        id: The task.
        queue: Its queue.
        keyed: Whether keys may hang on it.
        reply: The channel that waits for its result.
    """

    id: TaskId
    queue: str
    keyed: bool = False
    reply: str | None = None


@attrs.define
class _Item:
    """One settlement that is sent."""

    settlement: Settlement
    held: Held
    result: bytes = b""
    keep: bytes | None = None
    ttl: float = 0.0
    emits: Prepared | None = None


class Batch:
    """Settlements ready for the store, and what is known of them without it."""

    def __init__(self, batch: Sequence[Settlement], holding: Mapping[Any, Held], now: float) -> None:
        self._now = now
        self._known: list[Settled | _Item] = []
        self._plain: list[_Item] = []
        self._rich: list[_Item] = []
        taken: set[Any] = set()
        for settlement in batch:
            held = _held(settlement, holding)
            if held is None or settlement.delivery.receipt in taken:
                self._known.append(STALE)
                continue
            try:
                item = self._prepare(settlement, held)
            except (InvalidOption, BodyTooLarge) as error:
                self._known.append(Failed(error))
            except SerializationError as error:
                self._known.append(Failed(InvalidOption(str(error))))
            else:
                taken.add(settlement.delivery.receipt)
                self._known.append(item)
                plain = type(settlement) is Complete and not held.keyed and item.emits is None
                (self._plain if plain else self._rich).append(item)

    @property
    def sent(self) -> int:
        """How many have to be asked for."""
        return len(self._plain) + len(self._rich)

    def arguments(self) -> list[Any]:
        """Return what ``settle`` reads behind domain, session, number and slot."""
        plain, rich = self._plain, self._rich
        events = [item.settlement.events for item in plain] + [item.settlement.events for item in rich]
        args: list[Any] = [
            [item.settlement.delivery.receipt for item in plain],
            [item.held.id for item in plain],
            [item.keep for item in plain],
            [item.ttl for item in plain],
        ]
        args += self._rich_arguments() if rich else [None] * 19
        return [*args, b"".join(events), [len(one) for one in events]]

    def answers(self, said: str | None) -> list[Settled]:
        """Return what the store's answer means."""
        lines = iter(said.split("\n")) if said is not None else None
        of: dict[int, Settled] = {}
        for item in [*self._plain, *self._rich]:
            of[id(item)] = _answer(item, "d" if lines is None else next(lines))
        return [of[id(one)] if isinstance(one, _Item) else one for one in self._known]

    def tell(self, core: Core, answers: Sequence[Settled]) -> None:
        """Tell others what took effect."""
        ready: dict[str, None] = {}
        for one, answer in zip(self._known, answers, strict=True):
            if not isinstance(one, _Item) or not isinstance(answer, Done):
                continue
            settlement = one.settlement
            if isinstance(settlement, Complete | Dead):
                if one.held.reply is not None:
                    core.push(one.held.reply, one.held.id, one.result)
                if one.held.keyed:
                    ready[one.held.queue] = None  # the next of its ordering key
                for envelope, said in zip(settlement.emit, answer.emitted, strict=False):
                    if isinstance(said, Stored):
                        ready[envelope.queue] = None
            elif isinstance(settlement, Retry | Release) and settlement.after <= 0:
                ready[one.held.queue] = None
        core.tell_ready(ready)

    def _prepare(self, settlement: Settlement, held: Held) -> _Item:
        item = _Item(settlement, held)
        if isinstance(settlement, Complete | Dead):
            result = settlement.result
            if result.id != held.id:
                raise InvalidOption(f"a result of {result.id} cannot end {held.id}")
            if len(result.value) > LIMITS.max_body:
                raise BodyTooLarge(f"the result has {len(result.value)} bytes; at most {LIMITS.max_body} are taken")
            item.result = encode_result(result)
            item.keep, item.ttl = keep(item.result, result.ttl, pushed=held.reply is not None)
            if settlement.emit:
                item.emits = prepare(settlement.emit, self._now)
        elif isinstance(settlement, Retry | Release):
            if not settlement.after <= LIMITS.max_delay:
                raise InvalidOption(f"{settlement.after} s is longer than this broker delays")
        elif not isinstance(settlement, Moved):
            raise InvalidOption(f"{type(settlement).__name__} is no settlement")
        return item

    def _rich_arguments(self) -> list[Any]:
        rich = self._rich
        deads = [item.settlement if isinstance(item.settlement, Dead) else None for item in rich]
        args: list[Any] = [
            [_KINDS[type(item.settlement)] for item in rich],
            [item.settlement.delivery.receipt for item in rich],
            [item.keep for item in rich],
            [item.ttl for item in rich],
            [float(item.settlement.after) if isinstance(item.settlement, Retry | Release) else None for item in rich],
            [None if one is None else one.reason.encode("utf-8", "backslashreplace") for one in deads],
            [None if one is None else write_error(one.error) for one in deads],
        ]
        of: list[int] = []
        emits = Prepared([], [], [])
        for number, item in enumerate(rich, 1):
            if item.emits is not None:
                of += [number] * len(item.emits.sent)
                emits.sent += item.emits.sent
                emits.encoded += item.emits.encoded
                emits.rich = emits.rich or item.emits.rich
        return [*args, emits.rich or any(item.held.keyed for item in rich), of, *emits.arguments()]


def keep(encoded: bytes, ttl: float, *, pushed: bool) -> tuple[bytes | None, float]:
    """Return a result as it is stored, and for how many seconds; without one, how long its id is remembered."""
    if pushed and len(encoded) > LARGEST_PUSHED:
        ttl = max(ttl, _HINT_GRACE)
    return (encoded, ttl) if ttl > 0 else (None, LIMITS.publish_window)


def _held(settlement: Settlement, holding: Mapping[Any, Held]) -> Held | None:
    try:
        return holding.get(settlement.delivery.receipt)
    except TypeError:  # a receipt that cannot be hashed is none of ours
        return None


def _answer(item: _Item, line: str) -> Settled:
    if line == "s":
        return STALE
    if item.emits is None:
        return DONE
    return Done(item.emits.read(line[1:].split(",") if len(line) > 1 else []))


def held(envelope: Envelope) -> Held:
    """Return what a session is to know of a delivery."""
    return Held(
        envelope.id, envelope.queue, envelope.dedup is not None or envelope.order_by is not None, envelope.reply
    )
