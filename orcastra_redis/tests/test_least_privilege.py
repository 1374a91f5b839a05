"""The ACL line of the guide, word for word: it suffices for everything, and for nothing else."""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import NoPermissionError

from orcastra_conformance import all_cases, run_case
from orcastra_conformance.engine.case import Case
from orcastra_conformance.engine.harness import Address
from orcastra_conformance.engine.outcome import Outcome
from orcastra_core.model.broker_url import BrokerUrl
from orcastra_redis.conformance import Harness
from orcastra_redis.conformance_servers import Ground, Server
from orcastra_redis.conformance_setups import Setup, Standalone
from orcastra_redis.link import Link
from orcastra_redis.server import _OLDEST
from orcastra_redis.settings import Settings

GUIDE = Path(__file__).parents[2] / "docs/guides/redis.md"
GROUPS = {
    "pub",
    "set",
    "res",
    "dead",
    "can",
    "purge",
    "pause",
    "sch",
    "dedup",
    "ord",
    "evt",
    "events",
    "inspect",
    "find",
}


def acl_line() -> list[str]:
    (line,) = re.findall(r"^ACL SETUSER .*$", GUIDE.read_text(), flags=re.MULTILINE)
    return shlex.split(line)


class Restricted(Harness):
    """Brokers that are the guide's user. The harness itself is somebody else."""

    def _servers(self, ground: Ground) -> Setup:
        # every case has a domain of its own
        user = [word.replace("{orcastra}", "{*}") for word in acl_line()[2:]]
        return Standalone(ground, ["--user", *user], {"timeout": "2", "connect_timeout": "2"})

    def url(self, domain: str, *, at: Address | None = None) -> str:
        return super().url(domain, at=at).replace("redis://", "redis://orcastra:secret@", 1)

    def _own_link(self, domain: str) -> Link:
        return Link(Settings.of(BrokerUrl.parse(super().url(domain))))


@pytest.fixture(scope="module")
def harness() -> Iterator[Restricted]:
    harness = Restricted()
    try:
        harness.facts = asyncio.run(harness.start())
        yield harness
    finally:
        asyncio.run(harness.stop())


def _cases() -> list[object]:
    quick = {"set.emit", "con.cancelled-wait", "ses.leave-releases", "ses.sweep-reaps-lapsed", "num.repeat"}
    chosen = [case for case in all_cases() if case.id.partition(".")[0] in GROUPS or case.id in quick]
    assert len(chosen) > 60
    marks = {False: (), True: (pytest.mark.proof,)}
    return [
        pytest.param(case, id=case.id, marks=marks[case not in chosen or case.budget > 2.0]) for case in all_cases()
    ]


@pytest.mark.redis
@pytest.mark.parametrize("case", _cases())
def test_it_suffices(case: Case, harness: Restricted) -> None:
    report = run_case(case, harness)
    assert report.outcome not in (Outcome.FAILED, Outcome.HARNESS_ERROR), str(report)


@pytest.mark.redis
@pytest.mark.parametrize(
    "command",
    [
        ("GET", "somebody-elses"),
        ("SET", "somebody-elses", "1"),
        ("PUBLISH", "somebody-elses", "1"),
        ("EVAL", "return redis.call('GET', KEYS[1])", "1", "somebody-elses"),
        ("FLUSHALL",),
        ("KEYS", "*"),
        ("CONFIG", "GET", "*"),
        ("SCRIPT", "FLUSH"),
        ("ACL", "LIST"),
        ("SHUTDOWN",),
    ],
    ids=" ".join,
)
async def test_it_allows_nothing_else(command: tuple[str, ...], harness: Restricted) -> None:
    assert harness._setup is not None
    async with harness._setup.servers[0].client(username="orcastra", password="secret") as client:
        with pytest.raises(NoPermissionError):
            await client.execute_command(*command)


def test_every_word_of_it_is_needed() -> None:
    """Each command that it allows is one that the dist uses, and the other way round."""
    scripts = files("orcastra_redis") / "scripts"
    text = "".join(script.read_text() for script in scripts.iterdir() if script.name.endswith(".lua"))
    used = {word.lower() for word in re.findall(r"\b(?:call|pcall_)\('([A-Z]+)'", text)} | {"xreadgroup"}
    allowed = {word[1:].partition("|")[0] for word in acl_line() if word.startswith("+")}
    from_python = {
        "ping", "info", "select", "client", "eval", "evalsha", "xtrim", "subscribe", "unsubscribe", "pexpire", "exists",
        "publish", "xadd", "xrange", "hsetnx", "sadd", "time",
    }  # fmt: skip
    assert allowed - from_python == used - from_python


async def test_none_of_it_is_newer_than_the_oldest_server_that_is_opened(redis: Server) -> None:
    named = [word[1:] for word in acl_line() if word.startswith("+")]
    async with redis.client() as client:
        if int((await client.info("server"))["redis_version"].split(".")[0]) < 7:
            pytest.skip("a server that old does not know; but it runs all the others of these tests")
        docs = await client.execute_command("COMMAND DOCS", *{name.partition("|")[0] for name in named}, "wait")
    facts = {key.decode(): value for key, value in _pairs(docs)}
    for name in named:
        command, _, sub = name.partition("|")
        entry = dict(_pairs(facts[command]))
        if sub:
            entry = dict(_pairs(dict(_pairs(entry[b"subcommands"]))[name.encode()]))
        since = tuple(map(int, entry[b"since"].decode().split(".")))
        assert since < (*_OLDEST, 99), f"{name} came with {entry[b'since'].decode()}"


def _pairs(answer: Any) -> Iterator[tuple[Any, Any]]:
    """RESP3 has maps, RESP2 lists instead."""
    return iter(answer.items()) if isinstance(answer, dict) else zip(answer[::2], answer[1::2], strict=True)
