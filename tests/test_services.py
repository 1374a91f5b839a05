"""scripts/services with a real Redis: up, in use, down; and loud where there is none to be had."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts" / "services"
VARIABLE = "ORCASTRA_TEST_REDIS_URL"
PROGRAM = "ORCASTRA_REDIS_SERVER"


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """That of this process, without a server already given, and with a place of its own for what gets started."""
    given = {f"ORCASTRA_TEST_{name}_URL" for name in ("REDIS", "POSTGRES", "KAFKA")}
    given |= {f"ORCASTRA_{name}_SERVER" for name in ("REDIS", "POSTGRES", "KAFKA")}
    own = {name: value for name, value in os.environ.items() if name not in given}
    own["TMPDIR"] = str(tmp_path)
    yield own
    services("down", environment=own)


def services(*words: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(SCRIPT), *words], env=environment, capture_output=True, text=True, check=False, timeout=55
    )


def up(environment: Mapping[str, str]) -> str:
    """The URL of a server that answers. Where none can be had, that is a failure in CI, and a skip by hand."""
    done = services("up", "redis", environment=environment)
    if "no server to be had" in done.stderr and os.environ.get("CI") != "true":
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    return exported(done.stdout)


def exported(text: str) -> str:
    """The URL in `export ORCASTRA_TEST_REDIS_URL=…`; the binary may stand beside it, and nothing else."""
    variables: dict[str, str] = {}
    for line in text.splitlines():
        keyword, assignment = shlex.split(line)
        assert keyword == "export"
        name, _, variables[name] = assignment.partition("=")
    url = variables.pop(VARIABLE)
    for name, program in variables.items():
        assert name == PROGRAM
        assert os.access(program, os.X_OK)
    return url


def address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname == "127.0.0.1"
    assert parts.port is not None
    return parts.hostname, parts.port


def ping(url: str) -> bytes:
    with socket.create_connection(address(url), timeout=5) as connection:
        connection.sendall(b"PING\r\n")
        return connection.recv(100)


def refuses(url: str) -> bool:
    try:
        socket.create_connection(address(url), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_up_gives_a_server_that_answers_and_down_stops_it(environment: dict[str, str], tmp_path: Path) -> None:
    url = up(environment)
    assert ping(url) == b"+PONG\r\n"

    assert up(environment) == url
    assert f"redis  {url}  " in services("status", environment=environment).stdout

    assert services("down", environment=environment).returncode == 0
    assert refuses(url)
    assert [path.name for path in tmp_path.rglob("redis-*")] == []
    assert services("status", environment=environment).stdout == "nothing is up\n"


def test_a_server_that_died_is_replaced(environment: dict[str, str]) -> None:
    first = up(environment)
    with socket.create_connection(address(first), timeout=5) as connection:
        connection.sendall(b"SHUTDOWN NOSAVE\r\n")
        assert connection.recv(100) == b""
    assert ping(up(environment)) == b"+PONG\r\n"


def test_run_lends_a_server_to_one_command(environment: dict[str, str]) -> None:
    up(environment)  # which stays what it is: a run has a server of its own
    ran = services("run", "redis", "--", "sh", "-c", f"echo ${VARIABLE}; exit 7", environment=environment)
    assert ran.returncode == 7
    assert refuses(ran.stdout.strip())


def test_run_ends_its_server_when_it_is_ended(environment: dict[str, str]) -> None:
    up(environment)
    command = [str(SCRIPT), "run", "redis", "--", "sh", "-c", f"echo ${VARIABLE}; exec sleep 60"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        url = running.stdout.readline().strip()
        assert ping(url) == b"+PONG\r\n"
        running.send_signal(signal.SIGTERM)
        assert running.wait(timeout=20) == 128 + signal.SIGTERM
    assert refuses(url)


def test_a_url_in_the_environment_is_taken_as_it_is(environment: dict[str, str], tmp_path: Path) -> None:
    url = up(environment)
    elsewhere = tmp_path / "elsewhere"  # where nothing has been started
    elsewhere.mkdir()
    taken = services("up", "redis", environment={**environment, VARIABLE: url, "TMPDIR": str(elsewhere)})
    assert exported(taken.stdout) == url
    assert not list(elsewhere.rglob("redis-*"))


def test_a_url_where_nobody_answers_is_an_error(environment: dict[str, str]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"redis://127.0.0.1:{unused.getsockname()[1]}/0"
        failed = services("up", "redis", environment={**environment, VARIABLE: url})
    assert (failed.returncode, failed.stdout) == (1, "")
    assert f"{VARIABLE} is set, but no server answers there" in failed.stderr


def test_where_no_way_works_it_says_what_to_install(environment: dict[str, str], tmp_path: Path) -> None:
    # A machine with a Python and nothing else on its path.
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "python3").symlink_to(Path(sys.executable).resolve())
    failed = services("up", "redis", environment={**environment, "PATH": str(programs)})
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "no server to be had. Install redis-server" in failed.stderr


def test_postgres_runs_as_whoever_it_takes_and_leaves_nothing(environment: dict[str, str]) -> None:
    words = ("run", "postgres", "--", "sh", "-c", "echo $ORCASTRA_TEST_POSTGRES_URL; echo $ORCASTRA_POSTGRES_SERVER")
    ran = services(*words, environment=environment)
    if "no server to be had" in ran.stderr and os.environ.get("CI") != "true":
        pytest.skip(ran.stderr)
    assert ran.returncode == 0, ran.stderr
    url, program = ran.stdout.split("\n")[:2]
    assert url.startswith("postgresql://postgres@127.0.0.1:")
    assert not program or os.access(program, os.X_OK)  # a container has none
    assert refuses(url)


@pytest.mark.proof  # its jars are fetched the first time
def test_kafka_runs_and_leaves_nothing(environment: dict[str, str]) -> None:
    words = ("run", "kafka", "--", "sh", "-c", "echo $ORCASTRA_TEST_KAFKA_URL; echo $ORCASTRA_KAFKA_SERVER")
    ran = services(*words, environment=environment)
    if "no server to be had" in ran.stderr and os.environ.get("CI") != "true":
        pytest.skip(ran.stderr)
    assert ran.returncode == 0, ran.stderr
    url, program = ran.stdout.split("\n")[:2]
    assert url.startswith("kafka://127.0.0.1:")
    assert not program or os.access(program, os.X_OK)  # a container has none
    assert refuses(url)
