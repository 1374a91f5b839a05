"""What became of one call of a ``submit_many``."""

from __future__ import annotations

from typing import Generic, TypeVar

import attrs

from orcastra_core.app.handle import Handle
from orcastra_core.model.errors import OrcastraError

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
