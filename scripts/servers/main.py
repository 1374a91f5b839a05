"""The command line of scripts/services."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType

from servers.kafka import Kafka
from servers.launch import companions, launch
from servers.postgres import Postgres
from servers.processes import Process
from servers.redis import Redis
from servers.service import ServerError, Service, say
from servers.state import Running, State, locked_state

SERVICES: dict[str, Service] = {service.name: service for service in (Redis(), Postgres(), Kafka())}

_EPILOG = """\
  eval "$(scripts/services up redis)"     start, and set ORCASTRA_TEST_REDIS_URL in this shell
  scripts/services run redis -- pytest    start, run a command with the variable set, stop

A server comes from the first of: a URL that the environment already has, a binary on this machine, a docker engine,
Debian's packages, for Kafka Maven's, in a cache (no root, nothing installed). `down` stops what `up` started, nothing else.
"""


def main() -> int:
    """Run the command.

    Returns:
        The exit status: 0, 1 where a server cannot be had, 2 for a wrong command line, or that of the command run.
    """
    signal.signal(signal.SIGTERM, _terminate)
    arguments = _parse(sys.argv[1:])
    services = [SERVICES[name] for name in dict.fromkeys(arguments.names)]
    try:
        if arguments.action == "up":
            return _up(services or list(SERVICES.values()))
        if arguments.action == "run":
            return _run(services, arguments.command)
        return _down() if arguments.action == "down" else _status()
    except ServerError as failed:
        say(str(failed))
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130


def _parse(words: Sequence[str]) -> argparse.Namespace:
    own, command = (words[: words.index("--")], words[words.index("--") + 1 :]) if "--" in words else (words, [])
    parser = argparse.ArgumentParser(
        prog="scripts/services",
        description="Private servers for the tests.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("action", choices=("up", "down", "status", "run"))
    parser.add_argument("names", nargs="*", metavar="SERVICE", help=" ".join(SERVICES))
    arguments = parser.parse_args(own)
    unknown = [name for name in arguments.names if name not in SERVICES]
    if unknown:
        parser.error(f"unknown: {' '.join(unknown)}; there are {' '.join(SERVICES)}")
    if (arguments.action == "run") != bool(command):
        parser.error("`run` needs a command after `--`, and nothing else takes one")
    arguments.command = command
    return arguments


def _up(services: Sequence[Service]) -> int:
    with locked_state() as state:
        for service in services:
            url = _given(service)
            one = None if url else _shared(service, state) or _started(service, state, owner=None)
            for name, value in _variables(service, url, one).items():
                print(f"export {name}={shlex.quote(value)}", flush=True)
    return 0


def _run(services: Sequence[Service], command: Sequence[str]) -> int:
    started: list[Running] = []
    environment = dict(os.environ)
    try:
        with locked_state() as state:
            for service in services:
                url = _given(service)
                if url is None:
                    started.append(_started(service, state, owner=Process.of(os.getpid())))
                environment |= _variables(service, url, started[-1] if url is None else None)
        return _call(command, environment)
    finally:
        with locked_state() as state:
            for one in started:
                one.stop()
                state.remove(one)


def _call(command: Sequence[str], environment: dict[str, str]) -> int:
    try:
        child = subprocess.Popen(command, env=environment)
    except OSError as failed:
        say(f"cannot run {command[0]}: {failed.strerror}")
        return 127
    while True:
        try:
            status = child.wait()
            return status if status >= 0 else 128 - status
        except KeyboardInterrupt:
            continue  # the terminal has told the command too: it decides when it ends
        except BaseException:
            child.terminate()
            child.wait()
            raise


def _down() -> int:
    with locked_state() as state:
        stopped = [one for one in state if one.abandoned()]
        for one in stopped:
            one.stop()
            state.remove(one)
            say(f"{one.name}: stopped {one.url}")
    if not stopped:
        say("nothing to stop")
    return 0


def _status() -> int:
    with locked_state() as state:
        for one in state:
            service = SERVICES[one.name]
            word = "answers" if service.answers(one.url) else "does not answer" if one.alive() else "has died"
            where = (
                f"container {one.container[:12]}" if one.container else f"pid {one.process.pid if one.process else '?'}"
            )
            print(f"{one.name}  {one.url}  {where}  {word}{'' if one.owner is None else '  (belongs to a run)'}")
        if not list(state):
            print("nothing is up")
    return 0


def _given(service: Service) -> str | None:
    url = os.environ.get(service.variable)
    if url and not service.answers(url):
        raise ServerError(
            f"{service.name}: {service.variable} is set, but no server answers there; unset it or start one"
        )
    return url or None


def _variables(service: Service, url: str | None, one: Running | None) -> dict[str, str]:
    """What the environment is told: the given URL or that of the server we have, and the binary that it runs."""
    variables = {service.variable: one.url if one is not None else url or ""}
    name = service.program_variable
    if name and one is not None and one.program is not None and not os.environ.get(name):
        variables[name] = one.program
        variables |= companions(service)
    return variables


def _shared(service: Service, state: State) -> Running | None:
    one = state.shared(service.name)
    if one is None:
        return None
    if one.alive() and service.answers(one.url):
        say(f"{service.name}: already up at {one.url}")
        return one
    say(f"{service.name}: the one at {one.url} has died; starting another")
    one.stop()
    state.remove(one)
    return None


def _started(service: Service, state: State, *, owner: Process | None) -> Running:
    one = launch(service, state, owner)
    say(f"{service.name}: up at {one.url}")
    return one


def _terminate(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
