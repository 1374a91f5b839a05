"""One task, and a program that submits it.

orcastra worker greet:app
python -c "import asyncio, greet; asyncio.run(greet.main())"
"""

import os

from orcastra_core import Orcastra

app = Orcastra(os.environ.get("ORCASTRA_URL", "sqlite:///orcastra.db"))


@app.task(queue="mail", timeout=30)
async def greet(name: str, age: int) -> dict[str, str]:
    return {"text": f"Hello {name}, {age} is a fine age"}


async def main() -> None:
    async with app:
        handle = await greet.submit("Alice", age=25)
        print((await handle)["text"])
        people = [("Bob", 31), ("Carol", 47), ("Dan", 62)]
        for outcome in await app.submit_many(greet.call(name, age) for name, age in people):
            print((await outcome.handle)["text"])
