"""The façade: what applications meet."""

from orcastra_core.app.handle import Handle, TaskResult
from orcastra_core.app.orca import Call, Orca
from orcastra_core.app.orcastra import Orcastra
from orcastra_core.app.submission import Submission

__all__ = ["Call", "Handle", "Orca", "Orcastra", "Submission", "TaskResult"]
