"""From an annotation to what is done with a value on its way out and back in."""

from __future__ import annotations

import datetime as dt
import decimal
import inspect
import sys
import types
import typing
import uuid
from collections.abc import Callable, Mapping
from types import NoneType
from typing import Any

import attrs

_SCALARS: frozenset[Any] = frozenset({str, int, float, bool, bytes, NoneType})
_TAGGED: frozenset[Any] = frozenset({dt.datetime, dt.date, dt.timedelta, decimal.Decimal, uuid.UUID})
_CONTAINERS: frozenset[Any] = frozenset({list, dict, set, frozenset, tuple})
_SAME_ON_WIRE: frozenset[Any] = frozenset({list, dict})
_UNIONS: frozenset[Any] = frozenset({typing.Union, types.UnionType})


@attrs.frozen
class Adapter:
    """What one annotation means for a value.

    Attributes:
        exact: A type whose values need no look at all.
        admits: Whether a value may go out; None: anything may.
        to_wire: Makes plain values of it; None: it is one.
        from_wire: Rebuilds it from plain values; None: it is as it came.
        expected: The annotation, for messages.
        note: Added to a message about a value that could not be written.
    """

    exact: type | None = None
    admits: Callable[[Any], bool] | None = None
    to_wire: Callable[[Any], Any] | None = None
    from_wire: Callable[[Any], Any] | None = None
    expected: str = "anything"
    note: str = ""

    def explain(self, error: Exception) -> str:
        """Return what ``error`` says was wrong with the value, in one line."""
        if self.from_wire is None and self.to_wire is None:
            return str(error)
        from orcastra_core.serialization.structuring import explain

        return explain(error)


UNTYPED = Adapter()


class Unsuited(TypeError):
    """Values of an annotation cannot travel, whatever they are."""


@attrs.frozen
class Unresolved:
    """An annotation that could not be evaluated."""

    why: str


def resolve(function: Callable[..., Any]) -> Mapping[str, Any]:
    """Return the annotations of a function, ``Unresolved`` for those that cannot be evaluated."""
    plain = inspect.unwrap(function)
    try:
        return typing.get_type_hints(plain)
    except Exception:  # noqa: BLE001 - an annotation may be any expression and raise anything
        pass
    hints: dict[str, Any] = {}
    for name, annotation in _raw_annotations(plain).items():
        probe: Any = types.FunctionType((lambda: None).__code__, getattr(plain, "__globals__", {}))
        probe.__annotations__ = {name: annotation}
        try:
            hints[name] = typing.get_type_hints(probe)[name]
        except Exception as error:  # noqa: BLE001 - as above
            hints[name] = Unresolved(f"its annotation could not be resolved: {error}")
    return hints


def _raw_annotations(function: Callable[..., Any]) -> Mapping[str, Any]:
    if sys.version_info >= (3, 14):
        from annotationlib import Format, get_annotations

        return get_annotations(function, format=Format.FORWARDREF)
    return dict(getattr(function, "__annotations__", {}))


def adapter_for(annotation: Any) -> Adapter:
    """Return what ``annotation`` (None: there is none) means for a value."""
    if isinstance(annotation, Unresolved):
        return Adapter(note=f" ({annotation.why})")
    kind = _strip(annotation)
    if kind is None or kind is Any or kind is object or kind is inspect.Parameter.empty or _is_variable(kind):
        return UNTYPED
    expected = _name(annotation)
    admits = _admits(kind)
    same_out, same_in = _is_plain(kind, _TAGGED | _CONTAINERS), _is_plain(kind, _SAME_ON_WIRE)
    exact = kind if kind in _SCALARS | {list, dict} else None
    if same_out and same_in:
        return Adapter(exact, admits, expected=expected)
    from orcastra_core.serialization import structuring

    try:
        to_wire = None if same_out else structuring.unstructurer(kind)
        from_wire = structuring.structurer(kind, skip=kind if kind in _TAGGED else None)
    except Exception as error:  # noqa: BLE001 - cattrs raises whatever the annotation made it trip over
        # Refused when it is used: a task nobody submits must not break its module.
        to_wire = from_wire = _refuse(f"values of {expected} cannot be rebuilt: {error}")
    return Adapter(kind if kind in _TAGGED else None, admits, to_wire, from_wire, expected)


def _refuse(why: str) -> Callable[[Any], Any]:
    def refuse(value: Any) -> Any:
        raise Unsuited(why)

    return refuse


def _strip(annotation: Any) -> Any:
    """Return an annotation without NewType around it; of Annotated ``get_type_hints`` leaves nothing."""
    while isinstance(annotation, typing.NewType):
        annotation = annotation.__supertype__
    return annotation


def _is_variable(kind: Any) -> bool:
    return isinstance(kind, (typing.TypeVar, typing.ParamSpecArgs, typing.ParamSpecKwargs))


def _is_plain(annotation: Any, besides: frozenset[Any]) -> bool:
    """Whether values of an annotation are made of scalars and of types in ``besides``."""
    kind = _strip(annotation)
    if kind is Any or kind is Ellipsis or kind is None or kind in _SCALARS or kind in besides:
        return True
    origin = typing.get_origin(kind)
    if origin is typing.Literal:
        return all(type(value) in _SCALARS for value in typing.get_args(kind))
    if origin in _UNIONS or (origin in _CONTAINERS and origin in besides):
        return all(_is_plain(part, besides) for part in typing.get_args(kind))
    return False


def _admits(kind: Any) -> Callable[[Any], bool] | None:
    """Return a cheap check of a value's outermost type, or None where there is none."""
    origin = typing.get_origin(kind)
    if origin is typing.Literal:
        literals = typing.get_args(kind)
        return lambda value: any(value == literal and type(value) is type(literal) for literal in literals)
    if origin in _UNIONS:
        parts = [_strip(part) for part in typing.get_args(kind)]
        checks = [_admits(part) for part in parts]
        if any(part is Any or part is object for part in parts) or None in checks:
            return None
        return lambda value: any(check(value) for check in checks if check is not None)
    if typing.is_typeddict(kind) or typing.is_typeddict(origin):
        return lambda value: isinstance(value, dict)
    cls = origin if isinstance(origin, type) else kind
    if not isinstance(cls, type) or getattr(cls, "_is_protocol", False):
        return None
    if cls is int:
        return lambda value: isinstance(value, int) and not isinstance(value, bool)
    if cls is float:
        return lambda value: isinstance(value, (int, float)) and not isinstance(value, bool)
    if cls is bytes:
        return lambda value: isinstance(value, (bytes, bytearray))
    if cls is dt.date:
        return lambda value: isinstance(value, dt.date) and not isinstance(value, dt.datetime)
    return lambda value: isinstance(value, cls)


def _name(annotation: Any) -> str:
    if annotation is NoneType:
        return "None"
    if isinstance(annotation, type) and typing.get_origin(annotation) is None:
        return annotation.__qualname__
    return str(annotation).replace("typing.", "")
