"""One attempt in progress."""

from __future__ import annotations

import asyncio
import enum

from orcastra_core.model.delivery import Delivery
from orcastra_core.model.envelope import Envelope
from orcastra_core.runtime.context import Context
from orcastra_core.runtime.task_spec import TaskSpec
from orcastra_core.runtime.tenure import Tenure


class Cause(enum.Enum):
    """Why we stop a running task."""

    TIMEOUT = "timed out"
    CANCEL = "cancelled"
    FENCED = "its session was reaped"
    SHUTDOWN = "the worker shuts down"


class Run:
    """One attempt in progress."""

    __slots__ = ("cause", "concluding", "context", "delivery", "envelope", "spec", "task", "tenure", "timeout")

    def __init__(
        self, delivery: Delivery, envelope: Envelope, spec: TaskSpec, tenure: Tenure, timeout: float | None
    ) -> None:
        self.delivery = delivery
        self.envelope = envelope
        self.spec = spec
        self.tenure = tenure
        self.timeout = timeout
        self.context = Context(delivery, envelope, tenure.session if spec.is_async else None)
        self.task: asyncio.Task[None] | None = None
        self.cause: Cause | None = None
        self.concluding = False
