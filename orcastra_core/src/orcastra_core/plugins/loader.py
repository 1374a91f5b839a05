"""Entry points by group and name."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import Any

import attrs

from orcastra_core.model.errors import AmbiguousPlugin, OrcastraError, PluginLoadFailed, PluginNotFound

BROKERS = "orcastra.brokers"
SERIALIZERS = "orcastra.serializers"
TRIGGERS = "orcastra.triggers"
MIDDLEWARE = "orcastra.middleware"
COMMANDS = "orcastra.commands"
CONFORMANCE = "orcastra.conformance"
GROUPS = (BROKERS, SERIALIZERS, TRIGGERS, MIDDLEWARE, COMMANDS, CONFORMANCE)


@attrs.frozen
class Plugin:
    """An installed entry point.

    Attributes:
        group: Its entry point group.
        name: What it is asked for by.
        target: ``module:attribute``.
        dist: The dist that brought it, with its version; empty if unknown.
        error: Why it does not load, or None. Filled by ``survey(load=True)``.
    """

    group: str
    name: str
    target: str
    dist: str = ""
    error: str | None = None


def load(group: str, name: str) -> Any:
    """Return the object behind one entry point, importing only that one.

    Raises:
        PluginNotFound: Nothing of that name is installed; names what is.
        AmbiguousPlugin: Two dists claim the name.
        PluginLoadFailed: Its import raised.
    """
    from stevedore.driver import DriverManager
    from stevedore.exception import MultipleMatches, NoMatches

    failures: list[BaseException] = []

    def note(_manager: object, _entry_point: object, error: BaseException) -> None:
        failures.append(error)

    try:
        return DriverManager(
            group,
            name,
            invoke_on_load=False,
            on_load_failure_callback=note,
            on_missing_entrypoints_callback=lambda _missing: None,  # NoMatches says it all
        ).driver
    except MultipleMatches:
        claimants = sorted({plugin.dist or plugin.target for plugin in survey(group) if plugin.name == name})
        raise AmbiguousPlugin(
            f"{name!r} of {group} is claimed by {' and '.join(claimants)}: uninstall one of them"
        ) from None
    except SystemExit as error:  # a script where a module was meant
        raise PluginLoadFailed(f"{name!r} of {group} is installed, but its import ended the program") from error
    except NoMatches:
        if failures and isinstance(failures[0], OrcastraError):
            raise failures[0] from None
        if failures:
            raise PluginLoadFailed(
                f"{name!r} of {group} is installed, but its import failed: {type(failures[0]).__name__}: {failures[0]}"
            ) from failures[0]
        installed = ", ".join(sorted({plugin.name for plugin in survey(group)})) or "nothing"
        raise PluginNotFound(f"no {name!r} in {group}; installed: {installed}") from None


def survey(group: str, *, importing: bool = False) -> Sequence[Plugin]:
    """List a group's plugins by name; with ``importing``, try each and note why it fails."""
    if group == CONFORMANCE and find_spec("orcastra_conformance") is None:
        return []  # harnesses come with every backend and are of use beside the suite only
    found = [_describe(group, point, importing=importing) for point in entry_points(group=group)]
    return sorted(found, key=lambda plugin: (plugin.name, plugin.dist))


def _describe(group: str, point: EntryPoint, *, importing: bool) -> Plugin:
    error = None
    if importing:
        try:
            point.load()
        except (Exception, SystemExit) as failure:  # noqa: BLE001 - it may raise anything, and harm no other
            error = f"{type(failure).__name__}: {failure}"
    dist = f"{point.dist.name} {point.dist.version}" if point.dist is not None else ""
    return Plugin(group, point.name, point.value, dist, error)
