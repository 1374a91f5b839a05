"""A task's arguments and value: checked, written and rebuilt by the function's signature.

A body is ``[positional array, named map]``, as the caller gave them; defaults
are left to the function that runs. What an annotation asks for beyond the
plain builtins is taken apart and rebuilt by cattrs, loaded when the first such
parameter is met.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from orcastra_core.interfaces.serializer import Serializer
from orcastra_core.model.errors import DeserializationError, InvalidArguments, SerializationError
from orcastra_core.serialization.adapter import UNTYPED, Adapter, Unsuited, adapter_for, resolve

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class Signature:
    """How one task's arguments and value travel. Immutable; thread-safe.

    Annotations are looked at when they are first needed, so that they may
    name what is defined further down in the module. One that cannot be
    resolved leaves its parameter untyped.
    """

    def __init__(self, function: Callable[..., Any], task: str, exclude: Collection[str]) -> None:
        self.task = task
        self._function = function
        self._adapters: dict[str, Adapter] | None = None
        parameters = [p for p in _parameters(function) if p.name not in exclude]
        self._positional = [p.name for p in parameters if p.kind in _POSITIONAL]
        self._named = {p.name for p in parameters if p.kind in _NAMED}
        self._required = [
            p.name
            for p in parameters
            if p.default is p.empty and (p.kind in _POSITIONAL or p.kind is inspect.Parameter.KEYWORD_ONLY)
        ]
        last = max((i for i, name in enumerate(self._positional, 1) if name in self._required), default=0)
        of_place_only = not set(self._required) - set(self._positional)
        self._enough = range(last, len(self._positional) + 1) if of_place_only else range(0)
        self._star = next((p.name for p in parameters if p.kind is inspect.Parameter.VAR_POSITIONAL), None)
        self._double_star = next((p.name for p in parameters if p.kind is inspect.Parameter.VAR_KEYWORD), None)
        # Behind an excluded parameter an argument's place is not its index any more: the worker passes it by name.
        places = [p.name for p in _parameters(function) if p.kind in _POSITIONAL]
        self._in_place = next((i for i, name in enumerate(places) if name in exclude), len(places))
        self._simple = range(len(self._required), min(self._in_place, len(self._positional)) + 1)
        self._plain_load = False

    @classmethod
    def of(cls, function: Callable[..., Any], task: str, *, exclude: Collection[str] = ()) -> Signature:
        """Return the signature of a task's function.

        Args:
            function: What runs.
            task: Its name, for messages.
            exclude: Parameters that a submit does not fill: they are injected where it runs.
        """
        return cls(function, task, exclude)

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments in their wire form, positional and named.

        Raises:
            InvalidArguments: They do not fit; names the task and the parameter.
        """
        if kwargs or len(args) not in self._enough:
            self._check_names(args, kwargs)
        adapters = self._adapters or self._resolve()
        positional = list(args)
        for index, value in enumerate(args):
            name = self._positional[index] if index < len(self._positional) else f"*{self._star}"
            adapter = adapters[name]
            if adapter.exact is not type(value) and adapter is not UNTYPED:
                positional[index] = self._adapt(adapter, name, value)
        named = {}
        for name, value in kwargs.items():
            adapter = adapters[name if name in self._named else f"**{self._double_star}"]
            if adapter.exact is not type(value) and adapter is not UNTYPED:
                value = self._adapt(adapter, name, value)
            named[name] = value
        return positional, named

    def dump(self, serializer: Serializer, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bytes:
        """Return a body.

        Raises:
            InvalidArguments: The arguments do not fit; names the task and the parameter.
            SerializationError: One cannot be written; names the task, the parameter and where in it.
        """
        bound = self.bind(args, kwargs)
        try:
            return serializer.dumps([*bound])
        except SerializationError as error:
            raise self._blame(serializer, bound, error) from None

    def load(self, serializer: Serializer, body: bytes) -> tuple[Sequence[Any], Mapping[str, Any]]:
        """Return the arguments of a body, rebuilt from the annotations: for ``function(*args, **kwargs)``.

        Raises:
            DeserializationError: The bytes hold no arguments, or not such as the annotations ask for.
            InvalidArguments: The arguments do not fit the function.
        """
        adapters = self._adapters or self._resolve()
        loaded = serializer.loads(body)
        if type(loaded) is not list or len(loaded) != 2 or type(loaded[0]) is not list or type(loaded[1]) is not dict:
            raise DeserializationError(f"task {self.task!r}: the body is not [positional arguments, named arguments]")
        args: list[Any] = loaded[0]
        kwargs: dict[str, Any] = loaded[1]
        if kwargs or len(args) not in self._simple:
            self._check_names(args, kwargs)
        if not self._plain_load:
            for index, value in enumerate(args):
                name = self._positional[index] if index < len(self._positional) else f"*{self._star}"
                rebuild = adapters[name].from_wire
                if rebuild is not None:
                    args[index] = self._rebuild(rebuild, adapters[name], f"parameter {name!r}", value)
            for name, value in kwargs.items():
                adapter = adapters[name if name in self._named else f"**{self._double_star}"]
                if adapter.from_wire is not None:
                    kwargs[name] = self._rebuild(adapter.from_wire, adapter, f"parameter {name!r}", value)
        if len(args) > self._in_place:
            kwargs.update(zip(self._positional[self._in_place :], args[self._in_place :], strict=False))
            del args[self._in_place :]
        return args, kwargs

    def dump_result(self, serializer: Serializer, value: Any) -> bytes:
        """Return what the function returned as bytes.

        Raises:
            SerializationError: It cannot be written, or is not what the annotation says; names the task.
        """
        adapter = (self._adapters or self._resolve())["return"]
        if adapter.from_wire is not None and adapter.admits is not None and not adapter.admits(value):
            # the one who waits could not rebuild it
            raise SerializationError(f"task {self.task!r}: its value: {_mismatch(adapter, value, None)}")
        if adapter.to_wire is not None:
            try:
                value = adapter.to_wire(value)
            except Exception as error:
                raise SerializationError(
                    f"task {self.task!r}: its value: {_mismatch(adapter, value, error)}"
                ) from error
        try:
            return serializer.dumps(value)
        except SerializationError as error:
            raise SerializationError(f"task {self.task!r}: its {error}{adapter.note}") from None

    def load_result(self, serializer: Serializer, data: bytes) -> Any:
        """Return the value that ``dump_result`` wrote, rebuilt from the return annotation.

        Raises:
            DeserializationError: The bytes hold no such value; names the task.
        """
        adapter = (self._adapters or self._resolve())["return"]
        value = serializer.loads(data)
        if adapter.from_wire is None:
            return value
        return self._rebuild(adapter.from_wire, adapter, "its value", value)

    def _check_names(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        given = len(args)
        if given > len(self._positional) and self._star is None:
            raise InvalidArguments(
                f"task {self.task!r} takes {len(self._positional)} positional arguments, but {given} were given"
            )
        for name in kwargs:
            if name in self._named:
                if name in self._positional[:given]:
                    raise InvalidArguments(f"task {self.task!r} got parameter {name!r} twice")
            elif self._double_star is None or type(name) is not str:
                raise InvalidArguments(f"task {self.task!r} has no parameter {name!r}{self._takes()}")
        for name in self._required:
            if name not in kwargs and name not in self._positional[:given]:
                raise InvalidArguments(f"task {self.task!r} is missing parameter {name!r}{self._takes()}")

    def _takes(self) -> str:
        names = [*self._positional, *sorted(self._named - set(self._positional))]
        return f" (it takes {', '.join(names)})" if names else " (it takes none)"

    def _adapt(self, adapter: Adapter, name: str, value: Any) -> Any:
        if adapter.admits is not None and not adapter.admits(value):
            raise InvalidArguments(
                f"task {self.task!r}: parameter {name!r}: expected {adapter.expected}, got {_shown(value)}"
            )
        if adapter.to_wire is None:
            return value
        try:
            return adapter.to_wire(value)
        except Exception as error:
            raise InvalidArguments(
                f"task {self.task!r}: parameter {name!r}: {_mismatch(adapter, value, error)}"
            ) from error

    def _rebuild(self, rebuild: Callable[[Any], Any], adapter: Adapter, what: str, value: Any) -> Any:
        try:
            return rebuild(value)
        except Exception as error:
            raise DeserializationError(
                f"task {self.task!r}: {what}: expected {adapter.expected}: {adapter.explain(error)}"
            ) from error

    def _blame(
        self, serializer: Serializer, bound: tuple[list[Any], dict[str, Any]], error: SerializationError
    ) -> SerializationError:
        """Return ``error`` with the name of the parameter whose value it is about."""
        adapters = self._adapters or self._resolve()
        positional = [
            (self._positional[i] if i < len(self._positional) else f"*{self._star}", value)
            for i, value in enumerate(bound[0])
        ]
        for name, value in [*positional, *bound[1].items()]:
            try:
                serializer.dumps(value)
            except SerializationError as own:
                note = adapters.get(name, UNTYPED).note
                return SerializationError(f"task {self.task!r}: parameter {name!r}: {own}{note}")
        return SerializationError(f"task {self.task!r}: arguments: {error}")

    def _resolve(self) -> dict[str, Adapter]:
        hints = resolve(self._function)
        names = {*self._positional, *self._named}
        adapters = {name: adapter_for(hints.get(name)) for name in names}
        adapters[f"*{self._star}"] = adapter_for(hints.get(self._star or ""))
        adapters[f"**{self._double_star}"] = adapter_for(hints.get(self._double_star or ""))
        adapters["return"] = adapter_for(hints.get("return"))
        self._plain_load = all(a.from_wire is None for name, a in adapters.items() if name != "return")
        self._adapters = adapters
        return adapters

    def __repr__(self) -> str:
        return f"<Signature of {self.task}>"


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    if sys.version_info >= (3, 14):
        from annotationlib import Format

        return list(inspect.signature(function, annotation_format=Format.FORWARDREF).parameters.values())
    return list(inspect.signature(function).parameters.values())


def _mismatch(adapter: Adapter, value: Any, error: Exception | None) -> str:
    if isinstance(error, Unsuited):
        return str(error)
    why = "" if error is None else f" ({adapter.explain(error)})"
    return f"expected {adapter.expected}, got {_shown(value)}{why}"


def _shown(value: Any) -> str:
    if value is None:
        return "None"
    # the type only: arguments never go into messages
    return f"{'an' if type(value).__name__[0] in 'aeiou' else 'a'} {type(value).__name__}"
