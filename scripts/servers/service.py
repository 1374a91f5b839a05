"""What a server has to tell so that it can be started, asked and stopped."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


class ServerError(Exception):
    """A server could not be had; the message is one line for people, with the remedy."""


@dataclass(frozen=True)
class Command:
    """A program to run: its arguments, and variables beside those of the environment."""

    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)


class Service(Protocol):
    """One kind of server."""

    name: str
    """As people type it: ``redis``."""
    variable: str
    """The environment variable that carries its URL."""
    program: str
    """Its binary, as found on the path."""
    program_variable: str
    """The environment variable that tells tests where the binary is, for servers of their own; empty: they have none."""
    package: str
    """The Debian package that has it."""
    remedy: str
    """What people can do when no way worked; completes «redis: no server to be had. …»."""
    image: str
    """The container image."""
    container_port: int
    """The port that the server has inside its container."""

    def command(self, program: Path, port: int, directory: Path) -> Sequence[str]:
        """The arguments that run ``program`` in the foreground, on loopback at ``port``, its files in ``directory``."""

    def container_arguments(self) -> Sequence[str]:
        """What follows the image in ``docker run``."""

    def url(self, port: int) -> str:
        """The URL of the server at ``port`` of the loopback address."""

    def answers(self, url: str) -> bool:
        """Whether a server answers there right now, within two seconds. Raises nothing."""


def say(text: str) -> None:
    """Talk to the person at the terminal: stdout is for lines to evaluate."""
    print(text, file=sys.stderr, flush=True)
