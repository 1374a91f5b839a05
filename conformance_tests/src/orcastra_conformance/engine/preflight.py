"""Tells a broken harness from a broken broker, before eighty cases fail for one reason."""

from __future__ import annotations

import asyncio
import math
import uuid

import attrs

from orcastra_conformance.engine.asking import Unfit, asked, noting_opens, told
from orcastra_conformance.engine.expect import NotApplicable
from orcastra_conformance.engine.harness import BrokerHarness, ServerFacts, Unproven
from orcastra_conformance.engine.probe import BrokersOwn, Probe
from orcastra_core.interfaces.broker import Broker
from orcastra_core.model.broker_url import BrokerUrl
from orcastra_core.model.errors import InvalidOption
from orcastra_core.model.profile import Profile

_CLOCK_SLACK = 5.0
"""Seconds by which a clock may run ahead of what was asked for: the machine may be busy."""
_SOONEST, _LATEST = 1e9, 1e11
"""Between them lies any Unix time in seconds, and none in milliseconds or since the machine's start."""


@attrs.frozen
class Preflight:
    """What looking at a harness showed.

    Attributes:
        failures: What is wrong with it, a sentence each, naming the method and what to do; none: it is fit.
        facts: What ``start`` told, if it is what it should be.
        profile: What the broker said at ``open``, if it did.
        broker: The broker's class, if one was seen.
    """

    failures: tuple[str, ...] = ()
    facts: ServerFacts | None = None
    profile: Profile | None = None
    broker: type[Broker] | None = None

    @property
    def fit(self) -> bool:
        """Whether cases may run on it."""
        return not self.failures


def check(harness: BrokerHarness) -> Preflight:
    """Run ``preflight`` in an event loop of its own."""
    return asyncio.run(preflight(harness))


async def preflight(harness: BrokerHarness) -> Preflight:
    """Try what every case takes for granted of a harness that was started and whose ``facts`` are set.

    What a broker's own methods raise is left to the cases, but for one thing: where no
    broker can be opened because no server is there, no case could show anything.
    """
    return await _Look(harness).everywhere()


class _Look:
    def __init__(self, harness: BrokerHarness) -> None:
        facts: object = getattr(harness, "facts", None)
        self._harness = harness
        self._facts = facts if isinstance(facts, ServerFacts) else None
        self._broker: type[Broker] | None = None
        self._domain = f"preflight-{uuid.uuid4().hex[:12]}"
        self._probe = Probe(harness, self._domain, self._facts.url if self._facts is not None else "no known place")

    async def everywhere(self) -> Preflight:
        failures: list[str] = []
        checks = (self._seconds, self._start, self._brokers, self._url, self._time, self._lease, self._wipe)
        for one in checks:
            try:
                await one()
            except Unfit as error:
                failures.append(str(error))
            except (Unproven, NotApplicable, BrokersOwn):
                continue
        return Preflight(tuple(failures), self._facts, self._probe.profile, self._broker)

    async def _seconds(self) -> None:
        for name in ("lease", "soon"):
            value = getattr(self._harness, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
                raise Unfit(f"{name} is {value!r}: give the harness seconds, more than 0")

    async def _start(self) -> None:
        if self._facts is None:
            got = getattr(self._harness, "facts", None)
            raise Unfit(f"start() returned {got!r}: return ServerFacts(product, url, embedded=…)")
        if not self._facts.product or not self._facts.url:
            raise Unfit(f"start() returned {self._facts!r}: name the product and where it is, for the report")
        try:
            login = BrokerUrl.parse(self._facts.url).password
        except InvalidOption:
            return  # for people, not for dialling
        if login:
            raise Unfit(
                "start() put a password into ServerFacts.url, which is reported: return str(BrokerUrl.parse(url))"
            )

    async def _brokers(self) -> None:
        first = await self._probe.new()
        self._broker = type(first)
        with noting_opens(self._broker) as opened:
            second = await self._probe.new()
        if first is second:
            raise Unfit(
                "broker() returned the same broker twice: make a new one each time, they are independent clients"
            )
        if any(broker is second for broker in opened):
            raise Unfit("broker() opened the broker it returned: return it unopened, the case opens and closes it")
        for broker in (first, second):
            try:
                await self._probe.opened(broker)
            finally:
                await self._probe.closed(broker)

    async def _url(self) -> None:
        async with asked("url", "return the URL of the domain, or leave the method out"):
            url: object = self._harness.url(self._domain)
            if not isinstance(url, str):
                raise Unfit(f"url() returned {url!r}: return the URL as a text")
            BrokerUrl.parse(url)
        async with asked("dial", "it has to make an unopened broker of what url() returns"):
            broker: object = self._harness.dial(url)
            if not isinstance(broker, Broker):
                raise Unfit(f"dial() returned {broker!r}: return an unopened Broker")

    async def _time(self) -> None:
        before, step = self._now(), self._probe.moment
        if not _SOONEST < before < _LATEST:
            raise Unfit(f"now() says {before!r}: return the store's Unix time in seconds")
        async with asked("advance", "let the seconds pass for the store, or leave the method out"):
            await self._harness.advance(step)
        passed = self._now() - before
        if passed < step * 0.9:
            raise Unfit(f"advance({step:g}) let now() move on by {passed:g} s: both must speak of the store's time")
        if passed > step + _CLOCK_SLACK:
            raise Unfit(f"advance({step:g}) let now() move on by {passed:g} s, far more than asked for")
        self._probe.time_moves = True

    async def _lease(self) -> None:
        profile = self._probe.profile
        if profile is not None and self._harness.lease < profile.limits.min_lease:
            raise Unfit(
                f"lease is {self._harness.lease:g} s, and the broker grants none below limits.min_lease = "
                f"{profile.limits.min_lease:g} s: raise the harness's lease, or lower the server's minimum in start()"
            )

    async def _wipe(self) -> None:
        todo = "it has to remove what the domain holds, if anything; every broker of it was closed"
        async with asked("wipe", f"a domain that nobody used must be no trouble: {todo}"):
            await self._harness.wipe(f"{self._domain}-unused")
        if self._probe.profile is None or type(self._harness).wipe is BrokerHarness.wipe:
            return  # by default everything goes with stop()
        before = await self._census()
        used = await self._probe.published()
        if not self._probe.closes:
            return  # what open brokers do to a domain that is wiped is not the harness's fault
        async with asked("wipe", todo):
            await self._harness.wipe(self._domain)
        if used and await self._probe.fetched():
            raise Unfit(f"wipe() left a published envelope, a new broker could fetch it: {todo}")
        async with asked("wipe", f"a domain that is wiped again must be no trouble: {todo}"):
            await self._harness.wipe(self._domain)
        after = await self._census()
        if before is not None and after is not None:
            left = {kind: number for kind, number in after.items() if number > before.get(kind, 0)}
            if left:
                raise Unfit(f"wipe() left {left} by census(): {todo}")

    def _now(self) -> float:
        todo = "return the store's Unix time in seconds"
        try:
            now: object = self._harness.now()
        except Exception as error:
            raise Unfit(f"now() raised {told(error)}: {todo}") from error
        if isinstance(now, bool) or not isinstance(now, int | float):
            raise Unfit(f"now() returned {now!r}: {todo}")
        return now

    async def _census(self) -> dict[str, int] | None:
        try:
            async with asked("census", "return what the store holds of a domain, by kind; also of one nobody used"):
                return dict(await self._harness.census(self._domain))
        except (Unproven, NotApplicable):
            return None
