"""A first try of a broker: only what it does well counts, the rest is for the cases to tell."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from orcastra_conformance.engine import asking
from orcastra_conformance.engine.asking import Unfit, asked, told
from orcastra_conformance.engine.harness import BrokerHarness
from orcastra_conformance.engine.making import Making
from orcastra_core.interfaces.broker import Broker
from orcastra_core.model.delivery import Delivery, Want
from orcastra_core.model.errors import AuthenticationFailed
from orcastra_core.model.profile import Profile
from orcastra_core.model.published import Stored

_MOMENT = 0.05


class BrokersOwn(Exception):  # noqa: N818 - a finding
    """A broker's method raised, hung or answered oddly."""


class Probe:
    """Uses brokers of one domain a little.

    Attributes:
        profile: What the last broker said at ``open``; None: nothing.
        time_moves: Whether a fetch may wait: somebody made sure that time goes on.
        closes: Whether every broker was closed without trouble.
    """

    def __init__(self, harness: BrokerHarness, domain: str, where: str) -> None:
        self.profile: Profile | None = None
        self.time_moves = False
        self.closes = True
        self._harness = harness
        self._domain = domain
        self._where = where
        self._make = Making(harness.now)

    @property
    def moment(self) -> float:
        """Seconds that the store can tell from none."""
        return max(_MOMENT, 5 * self.profile.limits.time_resolution) if self.profile is not None else _MOMENT

    async def new(self) -> Broker:
        """Return one more broker of the domain, not opened. Raises Unfit."""
        async with asked("broker", "return a broker of the domain, not opened"):
            broker: object = await self._harness.broker(self._domain)
        if not isinstance(broker, Broker):
            raise Unfit(f"broker() returned {broker!r}: return an unopened orcastra_core Broker")
        return broker

    async def opened(self, broker: Broker) -> None:
        """Open a broker.

        Raises:
            Unfit: No server is there.
            BrokersOwn: It raised anything else, or told no profile.
        """
        try:
            async with asyncio.timeout(asking.PATIENCE):
                profile: object = await broker.open()
        except (OSError, AuthenticationFailed) as error:  # BrokerUnavailable and timeouts are OSErrors too
            what = f"raised {told(error)}" if str(error) else f"did not return within {asking.PATIENCE:g} s"
            raise Unfit(
                f"no server is where start() said, at {self._where}: open() of what broker() returned {what}; "
                "start it there, or correct what start() and broker() say"
            ) from error
        except Exception as error:
            raise BrokersOwn from error
        if not isinstance(profile, Profile):
            raise BrokersOwn
        self.profile = profile

    async def closed(self, broker: Broker) -> None:
        """Close a broker. Raises nothing: see ``closes``."""
        try:
            async with asyncio.timeout(asking.PATIENCE):
                await broker.close()
        except Exception:
            self.closes = False

    async def published(self) -> bool:
        """Publish an envelope and hand it back; whether it could be fetched. Raises Unfit."""
        try:
            return await self._with_broker(self._publish_and_fetch)
        except BrokersOwn:
            return False

    async def fetched(self) -> bool:
        """Whether a new broker can fetch anything. Raises Unfit, BrokersOwn."""
        return await self._with_broker(self._fetch)

    async def _with_broker(self, act: Callable[[Broker], Awaitable[bool]]) -> bool:
        broker = await self.new()
        try:
            await self.opened(broker)
            async with asyncio.timeout(asking.PATIENCE):
                return await act(broker)
        except Unfit:
            raise
        except Exception as error:
            raise BrokersOwn from error
        finally:
            await self.closed(broker)

    async def _publish_and_fetch(self, broker: Broker) -> bool:
        (answer,) = await broker.publish([self._make.envelope()])
        return isinstance(answer, Stored) and await self._fetch(broker)

    async def _fetch(self, broker: Broker) -> bool:
        queue = self._make.queue()
        session = await broker.open_session([queue], lease=self._harness.lease)
        want = Want(1, [(queue, 1)])
        got: Sequence[Delivery] = ()
        async with asyncio.TaskGroup() as group:
            for _ in range(3):  # a fetch may come back early and empty
                waiting = group.create_task(session.fetch(want, wait=self.moment if self.time_moves else 0))
                if self.time_moves:
                    await self._harness.advance(self.moment)
                if got := await waiting:
                    break
        await session.leave()
        return bool(got)
