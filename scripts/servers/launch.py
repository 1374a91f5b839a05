"""From a kind of server to one that answers: the ways to get it, in order."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from servers import debian, docker, installed
from servers.accounts import Account, directory_for, unprivileged
from servers.processes import Process
from servers.service import Command, Fetched, ServerError, Service, say
from servers.state import Running, State, new_directory

_READY = 30.0  # seconds until a started server must answer
_PORTS = 5  # tries, should another process take the free port first


def launch(service: Service, state: State, owner: Process | None) -> Running:
    """Start a private server and wait until it answers; it is in the state from the moment it exists.

    The ways: a binary on the machine, a docker engine, Debian's packages in a cache.

    Raises:
        ServerError: None of them worked; every one has said why.
    """
    ways: list[Callable[[], Running]] = []
    found = installed.program(service.program, service.folders)
    if found is not None:
        ways.append(lambda: _start_process(service, found, state, owner))
    if docker.available():
        ways.append(lambda: _start_container(service, state, owner))
    if isinstance(service, Fetched) or debian.available():
        ways.append(lambda: _start_process(service, _unpacked(service), state, owner))
    for way in ways:
        try:
            return way()
        except ServerError as failed:
            say(f"{service.name}: {failed}")
    raise ServerError(f"{service.name}: no server to be had. {service.remedy}")


def companions(service: Service) -> dict[str, str]:
    """The variables of the programs that its tests run beside it. One that cannot be had is left out, and that is said."""
    variables: dict[str, str] = {}
    for one in service.companions:
        if os.environ.get(one.variable):
            continue
        found = installed.program(one.program, ("usr/sbin",))
        if found is None and debian.available():
            try:
                found = debian.program(one.program, one.package, for_others=service.accounts is not None)
            except ServerError as failed:
                say(f"{service.name}: without {one.program}: {failed}")
        if found is not None:
            variables[one.variable] = found.argv[0]
    return variables


def _unpacked(service: Service) -> Command:
    if isinstance(service, Fetched):
        return service.fetched()
    return debian.program(
        service.program, service.package, folders=service.folders, for_others=service.accounts is not None
    )


def _start_process(service: Service, program: Command, state: State, owner: Process | None) -> Running:
    account = None if service.accounts is None else unprivileged(*service.accounts)
    for _ in range(_PORTS):
        directory = new_directory(service.name) if account is None else directory_for(account, service.name)
        port = _free_port()
        log = directory / "log"
        try:
            _prepare(service, program, directory, account)
        except ServerError:
            shutil.rmtree(directory, ignore_errors=True)
            raise
        child = _spawn(service.command(Path(program.argv[0]), port, directory), program, directory, account)
        running = Running(
            service.name,
            service.url(port),
            str(directory),
            process=Process.of(child.pid),
            owner=owner,
            program=program.argv[0],
            stop_signal=service.stop_signal,
        )
        state.add(running)
        if _becomes_ready(service, running, state):
            return running
        tail = log.read_text(errors="replace")[-2000:].strip() if log.exists() else ""
        _discard(running, state)
        child.wait()
        if "in use" not in tail:
            raise ServerError(f"{program.argv[0]} did not come up. Its last words:\n{tail or '(none)'}")
    raise ServerError(f"no free port found in {_PORTS} tries")


def _prepare(service: Service, program: Command, directory: Path, account: Account | None) -> None:
    command = service.preparation(Path(program.argv[0]), directory)
    if command and (status := _spawn(command, program, directory, account).wait()) != 0:
        tail = (directory / "log").read_text(errors="replace")[-2000:].strip()
        raise ServerError(f"{command[0]} ended with {status}. Its last words:\n{tail or '(none)'}")


def _spawn(
    command: Sequence[str], program: Command, directory: Path, account: Account | None
) -> subprocess.Popen[bytes]:
    with (directory / "log").open("wb") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **program.env},
            cwd=directory,
            start_new_session=True,  # Ctrl-C is for the command, which then stops the server itself
            user=None if account is None else account.uid,
            group=None if account is None else account.gid,
            extra_groups=None if account is None else [],
        )


def _start_container(service: Service, state: State, owner: Process | None) -> Running:
    say(f"{service.name}: starting the container {service.image}")
    container, port = docker.start(service)
    directory = str(new_directory(service.name))
    running = Running(service.name, service.url(port), directory, container=container, owner=owner)
    state.add(running)
    if _becomes_ready(service, running, state):
        return running
    _discard(running, state)
    raise ServerError(f"the container {service.image} did not answer within {_READY:.0f} s")


def _becomes_ready(service: Service, running: Running, state: State) -> bool:
    deadline = time.monotonic() + _READY
    try:
        while time.monotonic() < deadline and running.alive():
            if service.answers(running.url):
                return True
            time.sleep(0.05)
    except BaseException:  # Ctrl-C while waiting: nothing may stay behind
        _discard(running, state)
        raise
    return False


def _discard(running: Running, state: State) -> None:
    running.stop()
    state.remove(running)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
