"""Options of a submit, checked where they are given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

import attrs

from orcastra_core.model.envelope import NO_HEADERS, Dedup, DedupMode
from orcastra_core.model.errors import InvalidOption
from orcastra_core.model.names import QueueName, check_name, queue_name
from orcastra_core.runtime.task_spec import check_seconds


def moment(option: str, value: object) -> float:
    """Return an aware datetime as Unix seconds. Raises InvalidOption."""
    if not isinstance(value, datetime):
        raise InvalidOption(f"{option}={value!r}: expected an aware datetime")
    if value.utcoffset() is None:
        raise InvalidOption(f"{option}={value!r} is naive: give it a time zone, for example datetime.now(UTC)")
    return value.timestamp()


def span(option: str, value: object) -> float:
    """Return seconds or a timedelta as seconds. Raises InvalidOption."""
    return check_seconds(option, value.total_seconds() if isinstance(value, timedelta) else value)


def whole_priority(value: object) -> int:
    """Return a priority. Raises InvalidOption; what the broker's limits are is the broker's to say."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidOption(f"priority={value!r}: expected a whole number")
    return value


def _dedup(value: object) -> Dedup | None:
    if value is None:
        return None
    dedup = Dedup(value) if isinstance(value, str) else value
    if not isinstance(dedup, Dedup) or not isinstance(dedup.mode, DedupMode):
        raise InvalidOption(f"dedup={value!r}: expected text or a Dedup")
    check_name("dedup", dedup.key)
    if dedup.mode is DedupMode.WINDOW:
        check_seconds("dedup window", dedup.window, least=0.001)
    elif dedup.window is not None:
        raise InvalidOption(f"dedup={value!r}: only DedupMode.WINDOW has a window")
    return dedup


def _order_by(value: object) -> str | None:
    return None if value is None else check_name("ordering key", value)


def _headers(value: Mapping[Any, Any]) -> Mapping[str, Any]:
    for name in value:
        if not isinstance(name, str) or not name.startswith("x-") or name.count("-") < 2:
            raise InvalidOption(f"headers: {name!r} is not named x-<dist>-<name>")
    return MappingProxyType(dict(value))


@attrs.frozen(kw_only=True)
class SubmitOptions:
    """What a submit may say beside the arguments; None where the task's own default holds.

    Attributes:
        queue: Where it waits.
        delay: Not before this many seconds from the submit.
        at: Not before this moment, Unix seconds.
        priority: Larger is served first.
        dedup: Its dedup key.
        order_by: Its ordering key.
        expires: Not to be started later than this many seconds after the submit.
        expires_at: Not to be started after this moment, Unix seconds.
        timeout: Seconds an attempt may take; 0 for no bound.
        result_ttl: Seconds its result is kept.
        headers: Extensions, named ``x-<dist>-<name>``.
    """

    queue: QueueName | None = None
    delay: float | None = None
    at: float | None = None
    priority: int | None = None
    dedup: Dedup | None = None
    order_by: str | None = None
    expires: float | None = None
    expires_at: float | None = None
    timeout: float | None = None
    result_ttl: float | None = None
    headers: Mapping[str, Any] = NO_HEADERS

    @property
    def bound_in_time(self) -> bool:
        """Whether they say when, and so are for a single submit."""
        return any(one is not None for one in (self.delay, self.at, self.expires, self.expires_at))

    def changed(self, given: Mapping[str, Any]) -> SubmitOptions:
        """Return a copy with ``given`` options, as users write them.

        Raises:
            InvalidOption: One of them is out of its range.
        """
        readers: dict[str, Callable[[Any], Any]] = {
            "queue": queue_name,
            "delay": lambda value: None if value is None else span("delay", value),
            "at": lambda value: moment("at", value),
            "priority": whole_priority,
            "dedup": _dedup,
            "order_by": _order_by,
            "timeout": lambda value: span("timeout", value),
            "result_ttl": lambda value: span("result_ttl", value),
            "headers": _headers,
        }
        changes: dict[str, Any] = {}
        for name, value in given.items():
            if name == "expires" and isinstance(value, datetime):
                changes |= {"expires": None, "expires_at": moment("expires", value)}
            elif name == "expires":
                changes |= {"expires": span("expires", value), "expires_at": None}
            else:
                changes[name] = readers[name](value)
        changed = attrs.evolve(self, **changes)
        if changed.delay is not None and changed.at is not None:
            raise InvalidOption("delay= and at= both say when: give one")
        return changed


PLAIN = SubmitOptions()
"""Those of a submit that says nothing."""
