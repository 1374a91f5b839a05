"""Envelopes, wishes and settlements, each as plain as it can be."""

from __future__ import annotations

import time

from orcastra_conformance.engine.making import Making
from orcastra_core.interfaces.session import Session
from orcastra_core.model.delivery import Delivery, Want
from orcastra_core.model.names import QueueName

QUEUE = QueueName("q")
make = Making(time.time)


def want(limit: int) -> Want:
    """Return a wish for up to ``limit`` deliveries."""
    return Want(limit, [(QUEUE, limit)])


async def taken(session: Session, number: int) -> list[Delivery]:
    """Take exactly this many deliveries, which are there."""
    got = list(await session.fetch(want(number), wait=0))
    assert len(got) == number
    return got
