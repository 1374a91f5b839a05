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

from servers.service import Command, ServerError, say

_TOOLS = ("apt-get", "dpkg")
_FETCH = 300.0  # seconds for one apt-get


def available() -> bool:
    return all(shutil.which(tool) for tool in _TOOLS)


def program(name: str, package: str) -> Command:
    """A program out of a package, with the libraries it needs beside those that the machine has.

    Unpacked once into the user's cache; one process at a time does it.

    Raises:
        ServerError: apt-get cannot fetch it, or what it fetched does not run here.
    """
    cache = _cache()
    with (cache / f"{package}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        root = cache / package
        found = _runnable(root, name)
        if found is None:
            say(f"{package}: unpacking Debian's package into {root}; nothing is installed")
            shutil.rmtree(root, ignore_errors=True)
            _unpack(package, root)
            found = _runnable(root, name)
    if found is None:
        raise ServerError(f"the package {package} does not run on this machine")
    return found


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path(os.environ.get("HOME", "/nonexistent")) / ".cache"
    cache = Path(home) / "orcastra" / "services"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=cache).close()
    except OSError:  # an account without a home of its own
        cache = Path(tempfile.mkdtemp(prefix="orcastra-packages-"))
    return cache


def _runnable(root: Path, name: str) -> Command | None:
    path = next((root / folder / name for folder in ("usr/bin", "usr/sbin") if (root / folder / name).exists()), None)
    if path is None:
        return None
    libraries = sorted({str(library.parent) for library in root.rglob("*.so*")})
    if libraries:
        path = _with_libraries(path, libraries, root / name)
    try:
        tried = _run([str(path), "--version"], timeout=10.0)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return Command([str(path)]) if tried.returncode == 0 else None


def _with_libraries(path: Path, libraries: Sequence[str], wrapper: Path) -> Path:
    """Write a program that runs another one with libraries of its own: tests start it by its name alone."""
    fresh = wrapper.with_suffix(".new")
    where = shlex.quote(":".join(libraries))
    fresh.write_text(
        f"#!/bin/sh\nLD_LIBRARY_PATH={where}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}; export LD_LIBRARY_PATH\n"
        f'exec {shlex.quote(str(path))} "$@"\n'
    )
    fresh.chmod(0o755)
    fresh.replace(wrapper)
    return wrapper


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
        unpacked.replace(root)


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
