"""Submit tasks and wait for them. Start a worker first: orcastra worker greet:app"""

import asyncio

from greet import app, greet


async def main() -> None:
    async with app:
        handle = await greet.submit("Alice", age=25)
        print((await handle)["text"])
        people = [("Bob", 31), ("Carol", 47), ("Dan", 62)]
        for outcome in await app.submit_many(greet.call(name, age) for name, age in people):
            print((await outcome.handle)["text"])


asyncio.run(main())
