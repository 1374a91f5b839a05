"""Which releases a report is about."""

from __future__ import annotations

import platform
from importlib import metadata

import attrs

from orcastra_core.interfaces.broker import Broker

_GROUPS = ("orcastra.brokers", "orcastra.conformance")


@attrs.frozen
class Versions:
    """What ran. Empty where it is not known.

    Attributes:
        suite: Of ``orcastra-conformance``.
        contract: What the broker was written against (``Broker.contract``).
        core: Of ``orcastra-core``.
        backend: The name of the dist that brings the broker.
        backend_version: Its version.
        python: Implementation and version.
        platform: System and machine.
    """

    suite: str
    contract: str
    core: str
    backend: str
    backend_version: str
    python: str
    platform: str

    @classmethod
    def of(cls, broker: type[Broker] | None) -> Versions:
        """Find out, for a broker's class; None: it was never seen."""
        backend = _dist(broker.__module__.partition(".")[0]) if broker is not None else ""
        return cls(
            suite=_version("orcastra-conformance"),
            contract=broker.contract if broker is not None else Broker.contract,
            core=_version("orcastra-core"),
            backend=backend,
            backend_version=_version(backend),
            python=f"{platform.python_implementation()} {platform.python_version()}",
            platform=f"{platform.system()} {platform.machine()}",
        )


def _dist(package: str) -> str:
    """Return the dist of a package. An editable one lists no files, so entry points are asked first."""
    for group in _GROUPS:
        for entry in metadata.entry_points(group=group):
            if entry.dist is not None and entry.module.partition(".")[0] == package:
                return entry.dist.name
    for dist in metadata.packages_distributions().get(package, []):
        return dist
    return package.replace("_", "-") if _version(package) else ""


def _version(dist: str) -> str:
    try:
        return metadata.version(dist) if dist else ""
    except metadata.PackageNotFoundError:
        return ""
