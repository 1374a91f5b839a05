"""Servers written in Java: a Java to run them, and their jars, which Maven copies into a cache once."""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

from servers import debian
from servers.service import ServerError, say

_FETCH = 300.0  # seconds for all jars
_LEAST = 17
_PACKAGE = "openjdk-17-jre-headless"


def launcher(name: str, pom: Path, version: str) -> Path:
    """A program that runs a class out of the jars which ``pom`` names: ``PROGRAM CLASS ARGUMENT…``.

    It heeds KAFKA_HEAP_OPTS, KAFKA_JVM_PERFORMANCE_OPTS and KAFKA_OPTS, as Kafka's own ``kafka-run-class.sh`` does.

    Args:
        name: What the program is called.
        pom: Names the jars.
        version: What part of the cache they go to.

    Raises:
        ServerError: There is no Java here and none to be had, or Maven cannot fetch the jars.
    """
    root = debian.cache(for_others=False) / f"{pom.stem}-{version}"
    root.mkdir(exist_ok=True)
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        java = _java()
        jars = root / "jars"
        if not jars.is_dir():
            _copy(pom, jars, java)
        path = root / name
        fresh = path.with_suffix(".new")
        fresh.write_text(
            "#!/bin/sh\n# shellcheck disable=SC2086 # options are words\n"
            f"exec {shlex.quote(str(java))} $KAFKA_HEAP_OPTS $KAFKA_JVM_PERFORMANCE_OPTS $KAFKA_OPTS"
            f' -cp {shlex.quote(f"{jars}/*")} "$@"\n'
        )
        fresh.chmod(0o755)
        fresh.replace(path)
    return path


def _java() -> Path:
    home = os.environ.get("JAVA_HOME")
    for found in (shutil.which("java"), str(Path(home) / "bin" / "java") if home else None):
        if found is not None and _runs(Path(found)):
            return Path(found)
    if not debian.available():
        raise ServerError(f"no Java {_LEAST} or newer on this machine")
    return Path(debian.program("java", _PACKAGE, folders=("usr/lib/jvm/*/bin",)).argv[0])


def _runs(java: Path) -> bool:
    try:
        told = subprocess.run([str(java), "-version"], capture_output=True, text=True, check=False, timeout=20.0)
    except (OSError, subprocess.TimeoutExpired):
        return False
    number = re.search(r'version "(\d+)', told.stderr)
    return number is not None and int(number[1]) >= _LEAST


def _copy(pom: Path, jars: Path, java: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None and debian.available():
        maven = debian.program("mvn", "maven", folders=("usr/share/maven/bin",)).argv[0]
    if maven is None:
        raise ServerError("no Maven (mvn) to fetch the jars with")
    part = jars.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    say(f"{pom.stem}: Maven copies its jars into {jars}")
    command = [
        maven, "-B", "-q", "-f", str(pom), "dependency:copy-dependencies", "-DincludeScope=runtime",
        f"-DoutputDirectory={part}",
    ]  # fmt: skip
    environment = dict(os.environ)
    if shutil.which("java") is None:
        environment["JAVA_HOME"] = str(java.resolve().parents[1])
    last = ""
    for _ in range(3):  # the network may have a bad moment
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=_FETCH)
        except subprocess.TimeoutExpired:
            raise ServerError(f"Maven took more than {_FETCH:.0f} s") from None
        if done.returncode == 0:
            part.replace(jars)
            return
        errors = [line for line in done.stdout.splitlines() if "ERROR" in line]
        last = errors[0] if errors else done.stderr.strip()[-300:]
    raise ServerError(f"Maven cannot fetch the jars: {last}")
