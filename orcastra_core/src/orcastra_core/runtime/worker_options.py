"""How a worker works."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any

import attrs

from orcastra_core.model.errors import InvalidOption
from orcastra_core.model.names import QueueName, queue_name
from orcastra_core.runtime.task_spec import check_seconds


def _names(queues: Sequence[str]) -> tuple[QueueName, ...]:
    return tuple(dict.fromkeys(queue_name(name) for name in queues))


def _count(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidOption(f"{attribute.name}={value!r}: expected a whole number, at least 1")


def _seconds(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    check_seconds(attribute.name, value)


class Until(enum.Enum):
    """When a worker ends by itself."""

    STOPPED = "never: until it is told to"
    EMPTY = "when nothing is ready and nothing runs"
    DRAINED = "when nothing is ready, delayed or running anywhere in its queues"


@attrs.frozen(kw_only=True)
class WorkerOptions:
    """How a worker works; bad values raise InvalidOption.

    Attributes:
        queues: What it fetches from.
        concurrency: Attempts at a time.
        threads: Threads for synchronous functions.
        lease: Seconds of silence after which its session counts as lapsed.
        until: When it ends by itself.
        grace: Seconds that running tasks get after ``stop``.
        unknown_task_grace: Seconds an unknown task is released before it is dead-lettered.
        events: Whether to keep the event log.
        full_events: Whether to log STARTED as well.
    """

    queues: tuple[QueueName, ...] = attrs.field(converter=_names)
    concurrency: int = attrs.field(default=200, validator=_count)
    threads: int = attrs.field(default=32, validator=_count)
    lease: float = attrs.field(default=10.0, validator=_seconds)
    until: Until = Until.STOPPED
    grace: float = attrs.field(default=30.0, validator=_seconds)
    unknown_task_grace: float = attrs.field(default=300.0, validator=_seconds)
    events: bool = True
    full_events: bool = False
