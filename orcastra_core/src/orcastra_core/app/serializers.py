"""The serializers an app writes with and reads with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from orcastra_core.interfaces.serializer import Serializer
from orcastra_core.model.errors import UnknownContentType
from orcastra_core.model.result import Result
from orcastra_core.runtime.task_spec import TaskSpec


class Serializers:
    """One to write with; all that are installed to read with, loaded when first met.

    Args:
        name: The entry point to write with.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._default: Serializer | None = None
        self._known: dict[str, Serializer] = {}

    def load(self) -> None:
        """Load the default. Raises PluginNotFound and its like."""
        from orcastra_core.plugins import load

        if self._default is None:
            self._default = load("orcastra.serializers", self._name)()
            self._known[self._default.content_type] = self._default

    @property
    def default(self) -> Serializer:
        """The one to write with."""
        if self._default is None:
            self.load()
        assert self._default is not None
        return self._default

    def by_content_type(self, content_type: str) -> Serializer:
        """Return the serializer for a content type.

        Raises:
            UnknownContentType: None that is installed writes it.
        """
        found = self._known.get(content_type)
        return found if found is not None else self._find(content_type)

    def reader(self, spec: TaskSpec) -> Callable[[Result], Any]:
        """Return what reads the value of a task's result, rebuilt by its return annotation."""
        return lambda result: spec.signature.load_result(self.by_content_type(result.content_type), result.value)

    def read(self, result: Result) -> Any:
        """Read a result's value as plain values."""
        return self.by_content_type(result.content_type).loads(result.value)

    def _find(self, content_type: str) -> Serializer:
        from orcastra_core.plugins import load, survey

        for plugin in survey("orcastra.serializers", importing=True):
            if plugin.error is None:
                serializer: Serializer = load("orcastra.serializers", plugin.name)()
                self._known.setdefault(serializer.content_type, serializer)
        if content_type not in self._known:
            raise UnknownContentType(
                f"no installed serializer reads {content_type!r} (installed: {', '.join(sorted(self._known))})"
            )
        return self._known[content_type]
