"""As much of JSON Schema as our schema uses; any other keyword is refused, so that nothing goes unchecked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "null": (type(None),),
}
_SAID = {"$schema", "$id", "$defs", "title", "description"}


def complaints(value: Any, schema: dict[str, Any]) -> list[str]:
    """Return where a value does not keep a schema."""
    return list(_check(value, schema, schema, "$"))


def _check(value: Any, schema: dict[str, Any], root: dict[str, Any], at: str) -> Iterator[str]:
    for keyword, wanted in schema.items():
        if keyword in _SAID:
            continue
        yield from _keyword(keyword, wanted, value, schema, root, at)


def _keyword(keyword: str, wanted: Any, value: Any, schema: dict[str, Any], root: Any, at: str) -> Iterator[str]:
    match keyword:
        case "$ref":
            target = root
            for part in wanted.removeprefix("#/").split("/"):
                target = target[part]
            yield from _check(value, target, root, at)
        case "anyOf":
            if all(list(_check(value, each, root, at)) for each in wanted):
                yield f"{at}: {value!r} is none of {wanted}"
        case "const" | "enum":
            if value not in (wanted if keyword == "enum" else [wanted]):
                yield f"{at}: {value!r} is not {wanted}"
        case "type":
            kinds = [wanted] if isinstance(wanted, str) else wanted
            fits = any(isinstance(value, _TYPES[kind]) for kind in kinds)
            if not fits or (isinstance(value, bool) and "boolean" not in kinds):
                yield f"{at}: {value!r} is no {' or '.join(kinds)}"
        case "required":
            if isinstance(value, dict):
                yield from (f"{at}: lacks {name}" for name in wanted if name not in value)
        case "properties":
            if isinstance(value, dict):
                for name in wanted.keys() & value.keys():
                    yield from _check(value[name], wanted[name], root, f"{at}.{name}")
        case "additionalProperties":
            if isinstance(value, dict):
                for name in value.keys() - schema.get("properties", {}).keys():
                    yield from _check(value[name], wanted, root, f"{at}.{name}")
        case "propertyNames":
            for name in value:
                yield from _check(name, wanted, root, f"{at}.{name}")
        case "items":
            if isinstance(value, list):
                for number, item in enumerate(value):
                    yield from _check(item, wanted, root, f"{at}[{number}]")
        case "minLength":
            if isinstance(value, str) and len(value) < wanted:
                yield f"{at}: is too short"
        case "minimum":
            if isinstance(value, int | float) and value < wanted:
                yield f"{at}: {value!r} is less than {wanted}"
        case "pattern":
            if isinstance(value, str) and not re.search(wanted, value):
                yield f"{at}: {value!r} does not match {wanted}"
        case _:
            raise NotImplementedError(f"{keyword} in the schema is not checked")
