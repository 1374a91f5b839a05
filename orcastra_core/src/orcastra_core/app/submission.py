"""What became of a submit."""

from __future__ import annotations

from typing import Generic, TypeVar

import attrs

from orcastra_core.app.handle import Handle
from orcastra_core.model.errors import OrcastraError, PublishRefused, PublishUnknown
from orcastra_core.model.ids import TaskId
from orcastra_core.model.published import Duplicate, Published, Refused, Stored, Unknown
from orcastra_core.runtime.task_spec import TaskSpec

R = TypeVar("R")


@attrs.frozen
class Submission(Generic[R]):
    """What became of one call of a ``submit_many``.

    Attributes:
        error: Why it was not stored, or None.
    """

    _handle: Handle[R] | None
    error: OrcastraError | None = None

    @property
    def ok(self) -> bool:
        """Whether it was stored, or is a duplicate of one that is."""
        return self.error is None

    @property
    def handle(self) -> Handle[R]:
        """The task's handle; raises ``error`` if there is none."""
        if self._handle is None:
            assert self.error is not None
            raise self.error
        return self._handle


def stored_id(spec: TaskSpec, task_id: TaskId | None, answer: Published | OrcastraError) -> TaskId | OrcastraError:
    """Return the id under which a submit is stored, its own or the dedup key's holder's; or why it is not."""
    match answer:
        case OrcastraError():
            return answer
        case Duplicate(holder):
            return holder
        case Refused(why):
            return PublishRefused(f"task {spec.name}: {why}")
        case Unknown(error):
            unknown = PublishUnknown(f"task {spec.name}: the store gave no answer; {task_id} may be stored or not")
            unknown.__cause__ = error
            return unknown
        case Stored():
            assert task_id is not None
            return task_id
