"""The edge to cattrs: typed values to plain ones and back. Imported on first need.

Unlike cattrs as it comes, nothing is coerced: a text is not read as a number,
and ``bytes`` of a huge number does not take the memory it names. Text in the
usual notation is taken for dates, decimals and UUIDs, because plain JSON has
no other.
"""

from __future__ import annotations

import datetime as dt
import decimal
import typing
import uuid
from collections.abc import Callable
from typing import Any

import cattrs
from cattrs.strategies import configure_union_passthrough

Native = str | int | float | bool | bytes | None | dt.datetime | dt.date | dt.timedelta | decimal.Decimal | uuid.UUID


def _make() -> cattrs.Converter:
    converter = cattrs.Converter()
    for kind in (str, bytes, bool, int):
        converter.register_structure_hook(kind, _only(kind))
    converter.register_structure_hook(float, _float)
    converter.register_structure_hook(dt.datetime, _datetime)
    converter.register_structure_hook(dt.date, _date)
    converter.register_structure_hook(dt.timedelta, _only(dt.timedelta))
    converter.register_structure_hook(decimal.Decimal, _from_text(decimal.Decimal))
    converter.register_structure_hook(uuid.UUID, _from_text(uuid.UUID))
    converter.register_structure_hook_factory(_is_named_tuple, lambda kind: _named_tuple_reader(kind, converter))
    converter.register_unstructure_hook_factory(_is_named_tuple, lambda kind: _named_tuple_writer(kind, converter))
    configure_union_passthrough(Native, converter)
    return converter


def unstructurer(annotation: Any) -> Callable[[Any], Any]:
    """Return what makes plain values of values of ``annotation``; it may raise anything."""
    hook: Callable[[Any], Any] = _converter.get_unstructure_hook(annotation)
    return hook


def structurer(annotation: Any, *, skip: type | None = None) -> Callable[[Any], Any]:
    """Return what rebuilds values of ``annotation`` from plain ones; it may raise anything.

    Args:
        annotation: What to build.
        skip: Values of exactly this type are built already.
    """
    hook: Callable[[Any, Any], Any] = _converter.get_structure_hook(annotation)

    def rebuild(value: Any) -> Any:
        return value if type(value) is skip else hook(value, annotation)

    return rebuild


def explain(error: Exception) -> str:
    """Return what went wrong and where, in one line."""
    if isinstance(error, cattrs.BaseValidationError):
        return "; ".join(cattrs.transform_error(error, path="value", format_exception=_explain_one))
    return _explain_one(error, None)


def _explain_one(error: BaseException, kind: type | None) -> str:
    if isinstance(error, KeyError):
        return f"{error.args[0]!r} is missing"
    return str(error) or type(error).__name__


def _only(kind: type) -> Callable[[Any, Any], Any]:
    def structure(value: Any, wanted: Any) -> Any:
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise TypeError(f"expected {kind.__name__}, got {type(value).__name__}")
        # cattrs asks here for subclasses as well, such as an IntEnum
        return value if wanted is kind or not isinstance(wanted, type) else wanted(value)

    return structure


def _float(value: Any, _: Any) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError(f"expected float, got {type(value).__name__}")
    return float(value)


def _datetime(value: Any, _: Any) -> dt.datetime:
    if isinstance(value, str):
        value = dt.datetime.fromisoformat(value)
    if not isinstance(value, dt.datetime):
        raise TypeError(f"expected datetime, got {type(value).__name__}")
    if value.utcoffset() is None:
        raise ValueError("a datetime without a time zone")
    return value


def _date(value: Any, _: Any) -> dt.date:
    if isinstance(value, str):
        return dt.date.fromisoformat(value)
    if not isinstance(value, dt.date) or isinstance(value, dt.datetime):
        raise TypeError(f"expected date, got {type(value).__name__}")
    return value


def _from_text(kind: Callable[[str], Any]) -> Callable[[Any, Any], Any]:
    def structure(value: Any, _: Any) -> Any:
        if isinstance(value, str):
            try:
                return kind(value)
            except (ValueError, ArithmeticError):
                raise ValueError(f"no {getattr(kind, '__name__', 'value')}") from None
        if not isinstance(value, kind):  # type: ignore[arg-type]  # both kinds are classes
            raise TypeError(f"expected {getattr(kind, '__name__', 'value')}, got {type(value).__name__}")
        return value

    return structure


def _is_named_tuple(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, "_fields")


# Our own, because cattrs does not resolve the annotations of a NamedTuple that are text.
def _named_tuple_fields(kind: Any) -> list[Any]:
    hints = typing.get_type_hints(kind, include_extras=True)
    return [hints.get(name, Any) for name in kind._fields]


def _named_tuple_reader(kind: Any, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    fields = [(field, converter.get_structure_hook(field)) for field in _named_tuple_fields(kind)]

    def structure(value: Any, _: Any) -> Any:
        if not isinstance(value, (list, tuple)) or len(value) > len(fields):
            raise TypeError(f"expected an array of {len(fields)} for {kind.__name__}")
        return kind(*(hook(item, field) for item, (field, hook) in zip(value, fields, strict=False)))

    return structure


def _named_tuple_writer(kind: Any, converter: cattrs.Converter) -> Callable[[Any], Any]:
    hooks = [converter.get_unstructure_hook(field) for field in _named_tuple_fields(kind)]
    return lambda value: [hook(item) for hook, item in zip(hooks, value, strict=True)]


_converter = _make()
