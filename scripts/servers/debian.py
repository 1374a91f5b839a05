"""Debian's packages without root: fetched by apt-get, unpacked into a cache, never installed."""

from __future__ import annotations

import fcntl
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from servers import installed
from servers.service import Command, ServerError, say

_TOOLS = ("apt-get", "dpkg")
_FETCH = 300.0  # seconds for one apt-get


def available() -> bool:
    return all(shutil.which(tool) for tool in _TOOLS)


def program(name: str, package: str, *, folders: Sequence[str] = (), for_others: bool = False) -> Command:
    """A program out of a package, with the libraries it needs beside those that the machine has.

    Unpacked once into the user's cache; one process at a time does it.

    Args:
        name: The program.
        package: What it is in.
        folders: Where it may be in there, beside the usual places.
        for_others: Another account than ours is to run it, so the cache has to be where all can read.

    Raises:
        ServerError: apt-get cannot fetch it, or what it fetched does not run here.
    """
    place = cache(for_others=for_others)
    with (place / f"{package}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        root = place / package
        found = _runnable(root, name, folders)
        if found is None:
            say(f"{package}: unpacking Debian's package into {root}; nothing is installed")
            shutil.rmtree(root, ignore_errors=True)
            _unpack(package, root)
            found = _runnable(root, name, folders)
    if found is None:
        raise ServerError(f"the package {package} does not run on this machine")
    return found


def cache(*, for_others: bool) -> Path:
    """Where what was fetched is kept; made if need be."""
    home = os.environ.get("XDG_CACHE_HOME") or Path(os.environ.get("HOME", "/nonexistent")) / ".cache"
    if for_others and os.geteuid() == 0:  # root's home is closed
        home = "/var/cache"
    place = Path(home) / "orcastra" / "services"
    try:
        place.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=place).close()
    except OSError:  # an account without a home of its own
        place = Path(tempfile.mkdtemp(prefix="orcastra-packages-"))
        place.chmod(0o755 if for_others else 0o700)
    return place


def _runnable(root: Path, name: str, folders: Sequence[str]) -> Command | None:
    found = installed.inside(root, name, ("usr/bin", "usr/sbin", *folders))
    if found is None:
        return None
    libraries = sorted({str(library.parent) for library in root.rglob("*.so*") if _links_to(library)})
    path = found
    if libraries:  # what it starts, it looks for beside itself
        wrappers = root / "programs"
        wrappers.mkdir(exist_ok=True)
        for one in found.parent.iterdir():
            if os.access(one, os.X_OK):
                _with_libraries(one, libraries, wrappers / one.name)
        path = wrappers / name
    try:
        tried = _run([str(path), "--version"], timeout=10.0)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return Command([str(path)]) if tried.returncode == 0 else None


def _links_to(library: Path) -> bool:
    """Whether programs are linked to it. Modules that a program loads by itself are not named lib."""
    return library.name.startswith("lib")


def _with_libraries(path: Path, libraries: Sequence[str], wrapper: Path) -> None:
    """Write a program that runs another one with libraries of its own: tests start it by its name alone."""
    fresh = wrapper.with_suffix(".new")
    where = shlex.quote(":".join(libraries))
    fresh.write_text(
        f"#!/bin/sh\nLD_LIBRARY_PATH={where}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}; export LD_LIBRARY_PATH\n"
        f'exec {shlex.quote(str(path))} "$@"\n'
    )
    fresh.chmod(0o755)
    fresh.replace(wrapper)


def _unpack(package: str, root: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=f"{package}-", dir=root.parent) as scratch:
        work = Path(scratch)
        try:
            _fetch(package, work, _options(work, own_lists=False))
        except ServerError as missing:
            # A fresh machine has no package lists, an old one outdated lists: take our own, as any user may.
            say(f"  {missing}; reading the package lists")
            options = _options(work, own_lists=True)
            _apt(["update"], work, options)
            _fetch(package, work, options)
        unpacked = work / "root"
        unpacked.mkdir()
        for archive in sorted(work.glob("*.deb")):
            done = _run(["dpkg", "-x", str(archive), str(unpacked)])
            if done.returncode != 0:
                raise ServerError(f"dpkg cannot unpack {archive.name}: {done.stderr.strip()}")
        _relink(unpacked)
        unpacked.replace(root)


def _relink(root: Path) -> None:
    """Have links that name a place on the machine, as to /etc, name the same place in here."""
    for link in (path for path in root.rglob("*") if path.is_symlink()):
        target = link.readlink()
        inside = root / target.relative_to("/") if target.is_absolute() else link
        if target.is_absolute() and inside.exists():
            link.unlink()
            link.symlink_to(os.path.relpath(inside, link.parent))


def _fetch(package: str, work: Path, options: Sequence[str]) -> None:
    plan = _apt(["install", "--simulate", "--no-install-recommends", package], work, options)
    # «Inst redis-tools (5:7.0.15 …)»: exactly what this machine lacks for the package, dependencies included.
    lacking = [line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")] or [package]
    say(f"  fetching {' '.join(lacking)}")
    _apt(["download", *lacking], work, options)


def _options(work: Path, *, own_lists: bool) -> Sequence[str]:
    options = ["--quiet", "--option", f"Dir::Cache={work / 'cache'}"]
    if os.geteuid() == 0:
        options += ["--option", "APT::Sandbox::User=root"]  # the user _apt cannot write where we unpack
    if own_lists:
        options += ["--option", f"Dir::State::Lists={work / 'lists'}"]
    for folder in ("cache/archives/partial", "lists/partial"):
        (work / folder).mkdir(parents=True, exist_ok=True)
    return options


def _apt(action: Sequence[str], work: Path, options: Sequence[str]) -> str:
    try:
        done = _run(["apt-get", *options, *action], cwd=work, env={"LC_ALL": "C"}, timeout=_FETCH)
    except subprocess.TimeoutExpired:
        raise ServerError(f"apt-get {action[0]} took more than {_FETCH:.0f} s") from None
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if line.startswith("E:")] or ["E: it does not say why"]
        raise ServerError(f"apt-get {action[0]}: {errors[0][2:].strip()}")
    return done.stdout


def _run(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float = 60.0,
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **(env or {})}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, cwd=cwd, timeout=timeout
    )
