"""One task queue for Python, any broker underneath.

Applications need what is exported here; authors of backends and plugins start
at ``orcastra_core.interfaces``.
"""

from typing import TYPE_CHECKING, Any

from orcastra_core.app import Call, Handle, Orca, Orcastra, Submission, TaskResult
from orcastra_core.model.envelope import Dedup, DedupMode
from orcastra_core.model.errors import GiveUp, OrcastraError, RetryLater, Snooze
from orcastra_core.model.profile import Cap
from orcastra_core.model.queue import QueueSpec
from orcastra_core.model.retry import ExponentialBackoff, FixedBackoff, LinearBackoff, RetryPolicy
from orcastra_core.model.schedule import Misfire
from orcastra_core.model.task_state import Cancelled
from orcastra_core.runtime.context import Context, current_context
from orcastra_core.runtime.worker_options import Until

if TYPE_CHECKING:
    from orcastra_core.runtime.worker import Worker

__version__ = "0.1.0"

__all__ = [
    "Call",
    "Cancelled",
    "Cap",
    "Context",
    "Dedup",
    "DedupMode",
    "ExponentialBackoff",
    "FixedBackoff",
    "GiveUp",
    "Handle",
    "LinearBackoff",
    "Misfire",
    "Orca",
    "Orcastra",
    "OrcastraError",
    "QueueSpec",
    "RetryLater",
    "RetryPolicy",
    "Snooze",
    "Submission",
    "TaskResult",
    "Until",
    "Worker",
    "current_context",
]


def __getattr__(name: str) -> Any:
    # PEP 562: what only workers need is not imported by those who only submit
    if name == "Worker":
        from orcastra_core.runtime.worker import Worker

        return Worker
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
