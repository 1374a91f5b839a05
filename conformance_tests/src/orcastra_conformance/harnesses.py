"""From a name to a harness: an entry point of ``orcastra.conformance``, or ``module:Class``."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

import attrs

from orcastra_conformance.engine.harness import BrokerHarness
from orcastra_core.model.errors import InvalidOption, OrcastraError, PluginLoadFailed
from orcastra_core.plugins import load, survey
from orcastra_core.plugins.loader import CONFORMANCE

HarnessClass: TypeAlias = type[BrokerHarness]


@attrs.frozen
class Installed:
    """A harness that a dist brings.

    Attributes:
        name: What to call it by.
        dist: Who brings it, with its version.
        modes: The ways its server can be set up, the default first; empty if it does not load.
        error: Why it does not load, or None.
    """

    name: str
    dist: str
    modes: tuple[str, ...] = ()
    error: str | None = None


def make_harness(name: str, *, mode: str | None = None, url: str | None = None) -> BrokerHarness:
    """Return a harness, not started.

    Args:
        name: Its entry point, or ``module:Class``.
        mode: One of its modes instead of its default.
        url: The server to prove instead of a private one.

    Raises:
        InvalidOption: There is no such harness or mode, or it takes no URL or not this one.
        PluginLoadFailed: It is there, but importing or making it raised, or it is no harness.
    """
    cls = harness_class(name)
    modes = tuple(cls.modes)
    if mode is not None and mode not in modes:
        raise InvalidOption(f"the harness {name!r} has no mode {mode!r}; it has {', '.join(modes)}")
    make = cast("Callable[..., Any]", cls)
    try:
        harness = make(mode or modes[0]) if len(modes) > 1 else make()
    except Exception as error:
        raise PluginLoadFailed(f"making the harness {name!r} failed: {_said(error)}") from error
    assert isinstance(harness, BrokerHarness)
    if url is not None:
        harness.use(url)
    return harness


def harness_class(name: str) -> HarnessClass:
    """Return the class of a harness. Raises as ``make_harness`` does."""
    found = _imported(name) if ":" in name else _entry_point(name)
    if not isinstance(found, type) or not issubclass(found, BrokerHarness):
        what = f"the class {found.__name__}" if isinstance(found, type) else f"of type {type(found).__name__}"
        raise PluginLoadFailed(f"{name!r} is {what}, which is no BrokerHarness")
    missing = sorted(found.__abstractmethods__)
    if missing:
        raise PluginLoadFailed(f"the harness {name!r} lacks {' and '.join(missing)}")
    if not hasattr(found, "name"):
        raise PluginLoadFailed(f"the harness {name!r} has no `name`")
    return found


def installed() -> Sequence[Installed]:
    """Return the harnesses that installed dists bring, each tried; one that does not load harms no other."""
    found = []
    for plugin in survey(CONFORMANCE):
        try:
            found.append(Installed(plugin.name, plugin.dist, tuple(harness_class(plugin.name).modes)))
        except OrcastraError as error:
            found.append(Installed(plugin.name, plugin.dist, error=str(error)))
    return found


def _entry_point(name: str) -> Any:
    names = [plugin.name for plugin in survey(CONFORMANCE)]
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        there = f"there are {', '.join(names) or 'none'}; name one that is not installed as module:Class"
        raise InvalidOption(f"no harness {name!r} is installed; {f'did you mean {near[0]!r}?' if near else there}")
    return load(CONFORMANCE, name)


def _imported(name: str) -> Any:
    module_name, _, attribute = name.partition(":")
    if not all(part.isidentifier() for part in (*module_name.split("."), *attribute.split("."))):
        raise InvalidOption(
            f"{name!r} names no harness; expected an entry point, or module:Class, for example acme.conformance:Harness"
        )
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise InvalidOption(f"there is no module {error.name!r} in {here} or on PYTHONPATH") from None
        raise PluginLoadFailed(f"importing {module_name} failed: {_said(error)}") from error
    except (Exception, SystemExit) as error:
        raise PluginLoadFailed(f"importing {module_name} failed: {_said(error)}") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise InvalidOption(f"module {module_name} has no {attribute!r}")
        found = getattr(found, part)
    return found


def _said(error: BaseException) -> str:
    """Say what was raised and where, in a line."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename != __file__ and "importlib" not in frame.filename
    ]
    if not frames:
        return f"{type(error).__name__}: {error}"
    path = os.path.relpath(frames[-1].filename)
    where = frames[-1].filename if path.startswith("..") else path
    return f"{type(error).__name__}: {error} ({where}, line {frames[-1].lineno})"
