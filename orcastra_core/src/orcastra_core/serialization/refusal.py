"""Why a value cannot be written, and where in it."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Any

from orcastra_core.serialization.limits import MAX_DEPTH

TOO_DEEP = f"nested more than {MAX_DEPTH} deep, or inside itself"


class Refusal(Exception):  # noqa: N818 - becomes SerializationError once the path is known
    """Why a value cannot be written, gathering the path on its way out.

    Attributes:
        why: The reason.
        path: Steps such as ``['name']`` and ``[3]``, innermost first.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why
        self.path: list[str] = []

    def where(self) -> str:
        """Return the path from the outside in, shortened where it is long."""
        steps = self.path[::-1]
        return "".join(steps if len(steps) <= 12 else [*steps[:6], "…", *steps[-3:]])


def type_name(value: object) -> str:
    """Return the name of a value's type, for messages."""
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def shown_key(value: object) -> str:
    """Return a key or member as a path shows it: short, and never more than a plain value."""
    if isinstance(value, (str, bytes)) and len(value) > 40:
        return f"{value[:40]!r}…"
    if isinstance(value, (str, bytes, bool, float, type(None))) or (isinstance(value, int) and abs(value) < 10**40):
        return repr(value)
    return f"a {type_name(value)}"


def check_enum_keys(keys: Iterable[Any]) -> None:
    """Raise Refusal for keys of which two are written alike, since an Enum is written as its value."""
    seen = set()
    for key in keys:
        while isinstance(key, enum.Enum):
            key = key.value
        try:
            twice = key in seen
            seen.add(key)
        except TypeError:
            raise Refusal(f"an Enum whose value is a {type_name(key)} cannot be a key") from None
        if twice:
            raise Refusal(f"two keys are written as {shown_key(key)}")
