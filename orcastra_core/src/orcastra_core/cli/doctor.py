"""``orcastra doctor``: is this installation, and this server, fit to work?"""

from __future__ import annotations

import platform
import sqlite3
import sys
import time
from collections.abc import Iterator
from importlib import metadata

import attrs
import click
from rich.text import Text

from orcastra_core.app.orcastra import Orcastra
from orcastra_core.cli.app_loading import load_app
from orcastra_core.cli.broker_option import broker_options
from orcastra_core.cli.event_loop import run
from orcastra_core.cli.terminal import console
from orcastra_core.interfaces.broker import Broker
from orcastra_core.model.errors import OrcastraError, Unsupported
from orcastra_core.model.ids import IdFactory
from orcastra_core.model.profile import Cap, Durability, Profile
from orcastra_core.plugins import survey
from orcastra_core.plugins.loader import GROUPS

_DISTS = ("orcastra", "orcastra-core", "orcastra-redis", "orcastra-kafka", "orcastra-postgres", "orcastra-conformance")
_OLDEST_PYTHON = (3, 11)
_OLDEST_SQLITE = (3, 35, 0)
_SLOW = 0.1
"""Seconds a round trip may take before it is worth a word."""

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@attrs.frozen
class Finding:
    """One line of the report: ok, warn or fail."""

    grade: str
    text: str


@click.command("doctor", short_help="Check the installation and the server.")
@broker_options
def command(url: str | None, target: str | None) -> int:
    """Check Python, plugins, versions and the server, and say what to do.

    Exit code 1 if something fails.
    """
    out = console()
    failed = False
    for finding in _examine(url, target):
        failed = failed or finding.grade == "fail"
        # a line a finding, whatever the width: for people and for grep
        out.print(Text.assemble((f"{finding.grade:4}", _COLOURS[finding.grade]), f"  {finding.text}"), soft_wrap=True)
    return 1 if failed else 0


def _examine(url: str | None, target: str | None) -> Iterator[Finding]:
    yield from _python()
    yield from _dists()
    yield from _plugins()
    if not url and target is None:
        yield Finding("warn", "server: none was named; give --url or set ORCASTRA_URL to check it")
        return
    try:
        app = load_app(target) if target is not None else Orcastra(url)
        yield from run(_server(app))
    except (OrcastraError, click.ClickException) as error:
        yield Finding("fail", f"server: {' '.join(str(error).split())}")


def _python() -> Iterator[Finding]:
    fit = sys.version_info >= _OLDEST_PYTHON
    yield Finding(
        "ok" if fit else "fail",
        f"Python {platform.python_version()} ({platform.python_implementation()}) at {sys.executable}"
        + ("" if fit else "; take 3.11 or newer"),
    )
    linux = sys.platform == "linux"
    yield Finding(
        "ok" if linux else "warn",
        f"platform {platform.platform()}"
        + ("" if linux else ": only Linux has /proc, without which a shepherd cannot beat for its processes"),
    )
    try:
        yield Finding("ok", f"uvloop {metadata.version('uvloop')}")
    except metadata.PackageNotFoundError:
        yield Finding("warn", "uvloop is not installed: workers are slower; pip install uvloop")
    fit = sqlite3.sqlite_version_info >= _OLDEST_SQLITE
    yield Finding(
        "ok" if fit else "fail",
        f"SQLite {sqlite3.sqlite_version}" + ("" if fit else ": sqlite:// needs 3.35 or newer (RETURNING)"),
    )


def _dists() -> Iterator[Finding]:
    versions: dict[str, str] = {}
    for dist in _DISTS:
        try:
            versions[dist] = metadata.version(dist)
        except metadata.PackageNotFoundError:
            pass
    shown = ", ".join(f"{dist} {version}" for dist, version in versions.items())
    if not versions:
        yield Finding("fail", "no orcastra dist is installed, only importable; pip install orcastra-core")
    elif len(set(versions.values())) > 1:
        yield Finding("fail", f"versions differ: {shown}; install the same version of all")
    else:
        yield Finding("ok", f"dists {shown}")


def _plugins() -> Iterator[Finding]:
    found = [plugin for group in GROUPS for plugin in survey(group, importing=True)]
    broken = [plugin for plugin in found if plugin.error is not None]
    for plugin in broken:
        yield Finding(
            "fail",
            f"plugin {plugin.name} of {plugin.group} ({plugin.dist or plugin.target}) does not load: {plugin.error}; "
            f"repair or uninstall it",
        )
    if found and not broken:
        yield Finding("ok", f"plugins {len(found)}, all load")


async def _server(app: Orcastra) -> list[Finding]:
    async with app:
        profile = app.profile
        shown = sorted(cap.name for cap in profile.capabilities)
        missing = sorted(cap.name for cap in Cap if cap not in profile.capabilities)
        limits = profile.limits
        findings = [
            Finding("ok", f"server {profile.server} at {app.url}, domain {app.url.domain}"),
            Finding("ok", f"capabilities {', '.join(shown)}"),
            _durability(profile),
            Finding(
                "ok",
                f"limits: bodies {limits.max_body} bytes, batches {limits.max_batch}, "
                f"priorities {limits.priorities[0]} to {limits.priorities[1]}, leases from {limits.min_lease:g} s, "
                f"recovery within {limits.recovery_time:g} s of lease and death",
            ),
            await _round_trip(app.broker),
        ]
        findings += [
            Finding("ok", f"without {name}: {profile.notes[Cap[name]]}")
            for name in missing
            if Cap[name] in profile.notes
        ]
        if abs(profile.clock_offset) > 1.0:
            findings.append(
                Finding("warn", f"its clock is {profile.clock_offset:+.1f} s off ours: run NTP on both machines")
            )
        if app.url.lease < limits.min_lease:
            findings.append(Finding("fail", f"lease={app.url.lease:g} is below its least, {limits.min_lease:g} s"))
        return findings


def _durability(profile: Profile) -> Finding:
    meaning = {
        Durability.NONE: "a confirmed task dies with this process",
        Durability.PROCESS: "a confirmed task survives the death of its submitter, not of the server",
        Durability.SERVER_CRASH: "a confirmed task survives a crash of the server, not a power cut",
        Durability.POWER_LOSS: "a confirmed task survives a power cut",
        Durability.REPLICATED: "a confirmed task survives the loss of a machine",
    }[profile.durability]
    grade = "warn" if profile.durability < Durability.SERVER_CRASH else "ok"
    return Finding(grade, f"durability {profile.durability.name}: {meaning}")


async def _round_trip(broker: Broker) -> Finding:
    task_id = IdFactory()()
    times = []
    try:
        for _ in range(5):
            began = time.perf_counter()
            await broker.find([task_id])
            times.append(time.perf_counter() - began)
    except Unsupported:
        return Finding("ok", "round trip: not measured, it offers no LOOKUP")
    median = sorted(times)[len(times) // 2]
    text = f"round trip {median * 1000:.2f} ms"
    return Finding("warn", f"{text}: far for one-by-one submits") if median > _SLOW else Finding("ok", text)
