"""A small shop, and its orders.

orcastra worker shop:app -p 2
python -c "import asyncio, shop; asyncio.run(shop.main())"
"""

import asyncio
import os
from datetime import UTC, datetime

import attrs

from orcastra_core import ExponentialBackoff, GiveUp, Orcastra, RetryLater, RetryPolicy, current_context

app = Orcastra(os.environ.get("ORCASTRA_URL", "sqlite:///shop.db"))


@attrs.frozen
class Order:
    """What somebody bought: written as a map, rebuilt from the annotation."""

    number: int
    customer: str
    cents: int
    placed: datetime


@attrs.frozen
class Receipt:
    """What is left of an order."""

    number: int
    attempts: int


@app.task(queue="orders", retry=RetryPolicy(max_attempts=4, backoff=ExponentialBackoff(initial=0.1)), timeout=10)
async def charge(order: Order) -> Receipt:
    """Take the money; the bank is moody."""
    context = current_context()
    assert context is not None
    if order.cents <= 0:
        raise GiveUp(f"order {order.number} is worth nothing")  # to the dead letters, whatever the policy says
    if order.number % 3 == 0 and context.attempt == 1:
        raise RetryLater(0.05, "the bank is busy")
    if order.number % 5 == 0 and context.attempt < 3:
        raise ConnectionError("the bank hung up")  # the policy tries again
    return Receipt(order.number, context.attempt)


@app.task(queue="reports")
def report(day: str) -> int:
    """A plain function runs in a thread and may block."""
    return len(day)


async def main() -> None:
    now = datetime.now(UTC)
    async with app:
        orders = [Order(number, f"customer {number}", 100 * number, now) for number in range(6)]
        outcomes = await app.submit_many(charge.call(order) for order in orders)
        for outcome in outcomes:
            result = await outcome.handle.wait(timeout=30)
            print(result.value if result.success else f"{result.error}".splitlines()[0])
        today = report.options(priority=5, dedup="today")
        urgent, again = await asyncio.gather(today.submit(f"{now:%Y-%m-%d}"), today.submit(f"{now:%Y-%m-%d}"))
        print("reported", await urgent, "and the second submit was a duplicate" if again.duplicate else "")
        later = await report.options(delay=0.5).submit("later")
        print("reported later", await later)
        await app.schedule("nightly", report.call("nightly"), "cron:0 4 * * * Europe/Berlin")
        print("scheduled; orcastra dead list --app shop:app shows the order that was worth nothing")
