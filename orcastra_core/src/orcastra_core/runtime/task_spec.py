"""A registered function with its options."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import attrs

from orcastra_core.model.errors import InvalidOption
from orcastra_core.model.names import QueueName, TaskName
from orcastra_core.model.result import RESULT_TTL
from orcastra_core.model.retry import NO_RETRY, RetryPolicy
from orcastra_core.serialization.arguments import Signature


def check_seconds(option: str, value: object, *, least: float = 0.0) -> float:
    """Return ``value`` as seconds.

    Raises:
        InvalidOption: It is no finite number of at least ``least``.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < least:
        raise InvalidOption(f"{option}={value!r}: expected seconds, at least {least:g}")
    return float(value)


@attrs.frozen(kw_only=True)
class TaskSpec:
    """A registered function with its options.

    Attributes:
        name: What messages name it by.
        queue: Where it waits unless a submit says otherwise.
        function: What runs.
        is_async: Whether it runs in the event loop or in a thread.
        signature: Binds, writes and reads its arguments and its value.
        retry: When a failed attempt is tried again.
        timeout: Seconds an attempt may take; None for no bound.
        priority: Unless a submit says otherwise.
        result_ttl: Seconds its result is kept.
        own_process: Whether each attempt runs in a process of its own.
    """

    name: TaskName
    queue: QueueName
    function: Callable[..., Any]
    is_async: bool
    signature: Signature
    retry: RetryPolicy = NO_RETRY
    timeout: float | None = None
    priority: int = 0
    result_ttl: float = RESULT_TTL
    own_process: bool = False
