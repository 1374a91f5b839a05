"""Orders for the small shop. Start workers first: orcastra worker shop:app -p 2"""

import asyncio
from datetime import UTC, datetime

from shop import Order, app, charge, report


async def main() -> None:
    now = datetime.now(UTC)
    async with app:
        orders = [Order(number, f"customer {number}", 100 * number, now) for number in range(6)]
        outcomes = await app.submit_many(charge.call(order) for order in orders)
        for outcome in outcomes:
            result = await outcome.handle.wait(timeout=30)
            print(result.value if result.success else f"{result.error}".splitlines()[0])
        urgent = await report.options(priority=5, dedup="today").submit(now.date().isoformat())
        again = await report.options(priority=5, dedup="today").submit(now.date().isoformat())
        print("reported", await urgent, "and the second submit was a duplicate" if again.duplicate else "")
        later = await report.options(delay=0.5).submit("later")
        print("reported later", await later)
        await app.schedule("nightly", report.call("nightly"), "cron:0 4 * * * Europe/Berlin")
        print("scheduled; orcastra dead list --app shop:app shows the order that was worth nothing")


asyncio.run(main())
