"""The serializers an app writes with and reads with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from orcastra_core.interfaces.serializer import Serializer
from orcastra_core.model.errors import UnknownContentType
from orcastra_core.model.result import Result
from orcastra_core.runtime.task_spec import TaskSpec
from orcastra_core.serialization.arguments import Signature
from orcastra_core.serialization.registry import SerializerRegistry

SERIALIZERS = "orcastra.serializers"


class Serializers:
    """One to write with; all that are installed to read with, loaded when first met.

    Args:
        name: The entry point to write with.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._default: Serializer | None = None
        self._readers = SerializerRegistry(())
        self._complete = False
        self._by_signature: dict[Signature, Callable[[Result], Any]] = {}

    def load(self) -> None:
        """Load the one to write with. Raises PluginNotFound and its like."""
        if self._default is None:
            from orcastra_core.plugins import load

            self._default = load(SERIALIZERS, self._name)()
            self._readers = SerializerRegistry([self._default])

    @property
    def default(self) -> Serializer:
        """The one to write with."""
        self.load()
        assert self._default is not None
        return self._default

    def by_content_type(self, content_type: str) -> Serializer:
        """Return the serializer for a content type.

        Raises:
            UnknownContentType: None that is installed writes it.
        """
        try:
            return self._readers(content_type)
        except UnknownContentType:
            if self._complete:
                raise
        from orcastra_core.plugins import load, survey

        loadable = [plugin.name for plugin in survey(SERIALIZERS, importing=True) if plugin.error is None]
        self._readers = SerializerRegistry([self.default, *(load(SERIALIZERS, name)() for name in loadable)])
        self._complete = True
        return self._readers(content_type)

    def reader(self, spec: TaskSpec) -> Callable[[Result], Any]:
        """Return what reads the value of a task's result, rebuilt by its return annotation."""
        signature = spec.signature
        found = self._by_signature.get(signature)
        if found is None:
            found = self._by_signature[signature] = lambda result: signature.load_result(
                self.by_content_type(result.content_type), result.value
            )
        return found

    def read(self, result: Result) -> Any:
        """Read a result's value as plain values."""
        return self.by_content_type(result.content_type).loads(result.value)
