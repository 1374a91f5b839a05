"""The preflight tells a broken harness from a broken broker: each way to break one, and what it says."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from orcastra_conformance import Address, BrokerHarness, NotApplicable, ServerFacts, Unproven
from orcastra_conformance.engine import asking
from orcastra_conformance.engine.preflight import Preflight, check
from orcastra_conformance.suite import started
from orcastra_core.backends.memory.broker import MemoryBroker
from orcastra_core.backends.memory.conformance import Harness
from orcastra_core.backends.sqlite.conformance import Harness as SqliteHarness
from orcastra_core.interfaces.broker import Broker
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import AuthenticationFailed, BrokerUnavailable
from orcastra_core.model.profile import Profile
from orcastra_core.model.published import Published


def looked_at(harness: BrokerHarness) -> Preflight:
    with started(harness):
        return check(harness)


def only(harness: BrokerHarness) -> str:
    """The one sentence that a broken harness gets."""
    (failure,) = looked_at(harness).failures
    return failure


@pytest.mark.parametrize("make", [Harness, lambda: Harness("lesser"), SqliteHarness, lambda: SqliteHarness("normal")])
def test_our_own_harnesses_are_fit(make: Any) -> None:
    found = looked_at(make())
    assert found.failures == ()
    assert found.fit
    assert found.profile is not None
    assert found.broker is not None
    assert found.facts is not None


def test_nothing_is_left_of_it() -> None:
    class Counted(Harness):
        wiped: Sequence[str] = ()

        async def wipe(self, domain: str) -> None:
            self.wiped = [*self.wiped, domain]
            await super().wipe(domain)

    harness = Counted()
    plain = MemoryBroker.open
    with started(harness):
        assert check(harness).fit
        assert harness._anchors == {}
    assert len(set(harness.wiped)) == 2
    assert MemoryBroker.open is plain


# -- what a harness may have wrong


class NoFacts(Harness):
    async def start(self) -> ServerFacts:
        return "redis://somewhere"  # type: ignore[return-value]


class NamelessServer(Harness):
    async def start(self) -> ServerFacts:
        return ServerFacts("", "memory://", embedded=True)


class Indiscreet(Harness):
    async def start(self) -> ServerFacts:
        return ServerFacts("redis 7", "redis://me:hunter2@host:6379")


class NoBroker(Harness):
    async def broker(self, domain: str) -> Broker:
        return None  # type: ignore[return-value]


class RaisingBroker(Harness):
    async def broker(self, domain: str) -> Broker:
        raise KeyError("host")


class SameBroker(Harness):
    _only: Broker | None = None

    async def broker(self, domain: str) -> Broker:
        self._only = self._only or await super().broker(domain)
        return self._only


class OpenedBroker(Harness):
    async def broker(self, domain: str) -> Broker:
        broker = await super().broker(domain)
        await broker.open()
        return broker


class NoUrl(Harness):
    def url(self, domain: str, *, at: Address | None = None) -> str:
        return "localhost:6379"


class UrlOfNobody(Harness):
    def url(self, domain: str, *, at: Address | None = None) -> str:
        return f"nobody-has-this://{domain}"


class Milliseconds(Harness):
    def now(self) -> float:
        return super().now() * 1000


class StandingClock(Harness):
    async def advance(self, seconds: float) -> None:
        return


class LeapingClock(Harness):
    async def advance(self, seconds: float) -> None:
        await super().advance(seconds * 1000)


class NoClock(Harness):
    def now(self) -> float:
        return None  # type: ignore[return-value]


class RaisingAdvance(Harness):
    async def advance(self, seconds: float) -> None:
        raise ZeroDivisionError("by hand")


class ShortLease(Harness):
    lease = 0.001


class NoLease(Harness):
    lease = 0.0


class RaisingWipe(Harness):
    async def wipe(self, domain: str) -> None:
        del self._anchors[domain]


class RaisingWipeOfUsed(Harness):
    async def wipe(self, domain: str) -> None:
        if domain in self._anchors:
            raise OSError("files are in use")


class FalseWipe(Harness):
    async def wipe(self, domain: str) -> None:
        return


class LeakyWipe(Harness):
    def __init__(self) -> None:
        super().__init__()
        self.used: set[str] = set()

    async def wipe(self, domain: str) -> None:
        await super().wipe(domain)
        self.used.add(domain)

    async def census(self, domain: str) -> Mapping[str, int]:
        return {"rows": 0, "files": 2 if domain in self.used else 1}


class RaisingCensus(Harness):
    async def census(self, domain: str) -> Mapping[str, int]:
        raise LookupError(domain)


@pytest.mark.parametrize(
    "make, says",
    [
        (NoFacts, ["start() returned 'redis://somewhere'", "return ServerFacts"]),
        (NamelessServer, ["start()", "name the product"]),
        (Indiscreet, ["start()", "password"]),
        (NoBroker, ["broker() returned None", "unopened"]),
        (RaisingBroker, ["broker() raised KeyError: 'host'"]),
        (SameBroker, ["broker() returned the same broker twice", "new one each time"]),
        (OpenedBroker, ["broker() opened", "unopened"]),
        (NoUrl, ["url() raised InvalidOption", "broker URL"]),
        (UrlOfNobody, ["dial() raised BackendNotFound", "nobody-has-this"]),
        (Milliseconds, ["now() says", "Unix time in seconds"]),
        (StandingClock, ["advance(0.05)", "move on by 0 s"]),
        (LeapingClock, ["advance(0.05)", "50 s", "far more"]),
        (RaisingAdvance, ["advance() raised ZeroDivisionError: by hand"]),
        (ShortLease, ["lease is 0.001 s", "limits.min_lease = 0.01"]),
        (RaisingWipe, ["wipe() raised KeyError", "nobody used"]),
        (RaisingWipeOfUsed, ["wipe() raised OSError: files are in use"]),
        (FalseWipe, ["wipe() left a published envelope"]),
        (LeakyWipe, ["wipe() left {'files': 2} by census()"]),
        (RaisingCensus, ["census() raised LookupError"]),
    ],
)
def test_each_failure_is_a_sentence_that_names_the_method(make: type[Harness], says: list[str]) -> None:
    sentence = only(make())
    for part in says:
        assert part in sentence
    assert "\n" not in sentence
    assert "hunter2" not in sentence


def test_what_depends_on_time_and_lease_is_told_of_each() -> None:
    assert any("lease is 0.0" in failure for failure in looked_at(NoLease()).failures)
    assert any("now() returned None" in failure for failure in looked_at(NoClock()).failures)


def test_a_method_that_does_not_return_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hanging(Harness):
        async def wipe(self, domain: str) -> None:
            await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(asking, "PATIENCE", 0.05)
    assert only(Hanging()).startswith("wipe() did not return within 0.05 s")


# -- powers it need not have


def test_a_power_it_lacks_is_no_failure() -> None:
    class Powerless(Harness):
        def url(self, domain: str, *, at: Address | None = None) -> str:
            raise Unproven("no URL")

        async def advance(self, seconds: float) -> None:
            raise Unproven("no time")

        async def census(self, domain: str) -> Mapping[str, int]:
            raise NotApplicable("nothing to count")

    assert looked_at(Powerless()).failures == ()


def test_who_leaves_wiping_to_stop_is_not_asked_for_more() -> None:
    class Lazy(Harness):
        wipe = BrokerHarness.wipe

    assert looked_at(Lazy()).failures == ()


# -- what is the broker's business


@pytest.mark.parametrize("method", ["open", "close", "publish", "open_session"])
@pytest.mark.parametrize("error", [NotImplementedError("to be written"), RuntimeError("a bug")])
def test_a_broker_whose_methods_raise_is_left_to_the_cases(
    method: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(self: MemoryBroker, *args: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(MemoryBroker, method, broken)
    assert looked_at(Harness()).failures == ()


def test_a_broker_that_loses_all_is_left_to_the_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    async def publish(self: MemoryBroker, batch: Sequence[Envelope], /, *, events: Sequence[bytes] = ()) -> Any:
        answers: Sequence[Published] = ()
        return answers

    monkeypatch.setattr(MemoryBroker, "publish", publish)
    assert looked_at(Harness()).failures == ()


@pytest.mark.parametrize(
    "error",
    [
        BrokerUnavailable("connection refused"),
        AuthenticationFailed("wrong password"),
        ConnectionRefusedError(111, "no"),
    ],
)
def test_a_server_that_is_not_there_is_told_with_where_it_was_looked_for(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def absent(self: MemoryBroker) -> Profile:
        raise error

    monkeypatch.setattr(MemoryBroker, "open", absent)
    sentences = looked_at(Harness()).failures
    assert all("memory://conformance" in sentence and type(error).__name__ in sentence for sentence in sentences)
    assert len(sentences) == 1


def test_a_server_that_never_answers_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(self: MemoryBroker) -> Profile:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    monkeypatch.setattr(asking, "PATIENCE", 0.05)
    monkeypatch.setattr(MemoryBroker, "open", silent)
    assert "did not return within 0.05 s" in only(Harness())


def test_a_reading_broker_that_never_answers_is_left_to_the_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(self: MemoryBroker, *args: object, **options: object) -> None:
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(asking, "PATIENCE", 0.05)
    monkeypatch.setattr(MemoryBroker, "publish", silent)
    assert looked_at(Harness()).failures == ()
