"""One task. Run it with: orcastra worker greet:app"""

import os

from orcastra_core import Orcastra

app = Orcastra(os.environ.get("ORCASTRA_URL", "sqlite:///orcastra.db"))


@app.task(queue="mail", timeout=30)
async def greet(name: str, age: int) -> dict[str, str]:
    return {"text": f"Hello {name}, {age} is a fine age"}
