"""``python -m schedule_rig.promoting URL LIMIT``: promotes until it is killed."""

from __future__ import annotations

import asyncio
import sys

from orcastra_core.model.broker_url import BrokerUrl
from orcastra_core.model.errors import BrokerError
from orcastra_kafka import KafkaBroker
from schedule_rig.making import PLAN


async def main(url: str, limit: int) -> None:
    """Promote for ever, a line after each time."""
    broker = KafkaBroker(BrokerUrl.parse(url))
    await broker.open()
    while True:
        done, pause = 0, 0.05
        try:
            promotion = await broker.scheduler.promote(broker, limit=limit, plan=PLAN)
            done, pause = promotion.done, min(0.2, 1.0 if promotion.next_in is None else promotion.next_in)
        except BrokerError:
            pass
        print(done, flush=True)
        await asyncio.sleep(pause)


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
