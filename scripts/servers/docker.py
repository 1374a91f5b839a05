"""Servers in containers, for machines with a docker engine that answers."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence

from servers.service import Advertised, ServerError, Service

_ANSWER = 10.0  # seconds for a word with the engine
_PULL = 300.0  # seconds for an image that is not there yet


def available() -> bool:
    """Whether an engine answers; a client without one is common."""
    if shutil.which("docker") is None:
        return False
    try:
        return _docker("version", "--format", "{{.Server.Version}}").returncode == 0
    except subprocess.TimeoutExpired:
        return False


def start(service: Service) -> tuple[str, int]:
    """Run the server's image, its port published on a free port of the loopback address.

    Returns:
        The container's id and the port.

    Raises:
        ServerError: The image cannot be had or does not start.
    """
    outside = service.host_port if isinstance(service, Advertised) else ""
    publish = f"127.0.0.1:{outside}:{service.container_port}"
    variables = [word for pair in service.container_environment().items() for word in ("--env", "=".join(pair))]
    options = ["--detach", "--rm", "--publish", publish, *variables]
    arguments = ["run", *options, service.image, *service.container_arguments()]
    try:
        started = _docker(*arguments, timeout=_PULL)
    except subprocess.TimeoutExpired:
        raise ServerError(f"docker did not start {service.image} within {_PULL:.0f} s") from None
    if started.returncode != 0:
        raise ServerError(f"docker cannot run {service.image}: {_last_line(started.stderr)}")
    container = started.stdout.strip().splitlines()[-1]
    published = _docker("port", container, str(service.container_port))
    if published.returncode != 0:
        remove(container)
        raise ServerError(f"docker started {service.image}, which ended at once: {_last_line(published.stderr)}")
    return container, int(published.stdout.splitlines()[0].rpartition(":")[2])


def runs(container: str) -> bool:
    return _docker("inspect", "--format", "{{.State.Running}}", container).stdout.strip() == "true"


def remove(container: str) -> None:
    _docker("rm", "--force", "--volumes", container, timeout=60.0)


def _docker(*arguments: str, timeout: float = _ANSWER) -> subprocess.CompletedProcess[str]:
    command: Sequence[str] = ["docker", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout)


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it does not say why"])[-1]
