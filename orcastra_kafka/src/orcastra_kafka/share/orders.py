"""Wishes for records, one at a time, and what becomes of records whose wish was given up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import attrs

from orcastra_kafka.share.records import ShareRecord


@attrs.define(eq=False)
class Order:
    """A wish for records: at most ``limit``, not later than ``until``. What came so far is in ``taken``."""

    limit: int
    until: float
    got: asyncio.Future[list[ShareRecord]]
    taken: list[ShareRecord] = attrs.field(factory=list)

    @property
    def missing(self) -> int:
        """How many more would be taken."""
        return self.limit - len(self.taken)


class Orders:
    """The order of now.

    Args:
        unclaimed: Called with records that came when nobody waited for them any more.
    """

    def __init__(self, unclaimed: Callable[[list[ShareRecord]], None]) -> None:
        self._unclaimed = unclaimed
        self._order: Order | None = None

    def place(self, limit: int, until: float) -> asyncio.Future[list[ShareRecord]]:
        """Place an order; it takes the place of one that was given up, and gets what came for that."""
        before, order = self._order, Order(limit, until, asyncio.get_running_loop().create_future())
        self._order = order
        if before is not None:
            self._pass_on(before)
        return order.got

    def current(self) -> Order | None:
        """Return the order that somebody waits for, if any."""
        order = self._order
        if order is None or not order.got.done():
            return order
        self._order = None
        self._pass_on(order)
        return None

    def deliver(self, order: Order) -> None:
        """Answer an order; if it was given up meanwhile, what came is for the one that took its place."""
        if order.got.done():
            self._pass_on(order)
        else:
            self._order = None
            order.got.set_result(order.taken)

    def fail(self, failure: Callable[[], BaseException]) -> None:
        """Answer the order of now with a failure; what had come for it is lost."""
        order, self._order = self._order, None
        if order is not None and not order.got.done():
            order.got.set_exception(failure())

    def _pass_on(self, given_up: Order) -> None:
        records, given_up.taken = given_up.taken, []
        order = self._order
        if records and order is not None and not order.got.done():
            room = order.missing
            order.taken += records[:room]
            records = records[room:]
            self.deliver(order)
        if records:
            self._unclaimed(records)
