"""What Redis could do without a broker: the same bytes through the raw client and two small scripts."""

from __future__ import annotations

import time
from typing import Any

from redis.asyncio import Redis

from benchmarks.ceiling import BATCH
from orcastra_core.model.broker_url import BrokerUrl

_ADD = "for i = 1, #ARGV do redis.call('XADD', KEYS[1], '*', 'e', ARGV[i]) end return #ARGV"
_TAKE = """
local got = redis.call('XREADGROUP', 'GROUP', 'w', 'me', 'COUNT', ARGV[1], 'STREAMS', KEYS[1], '>')
return got and got[1][2] or {}
"""
_END = """
for i = 1, #ARGV, 2 do
  redis.call('XACK', KEYS[1], 'w', ARGV[i])
  redis.call('XDEL', KEYS[1], ARGV[i])
  redis.call('SET', KEYS[1] .. ARGV[i], ARGV[i + 1], 'PX', 60000)
end
return 1
"""


async def raw_redis(url: str, tasks: int) -> dict[str, float]:
    """Put in by one script a batch, read by one, acknowledge, delete and store a result by one; entries a second."""
    server, key = url.partition("?")[0], f"{{{BrokerUrl.parse(url).domain}}}:raw"
    body, result = b"x" * 180, b"y" * 60
    async with Redis.from_url(server) as client:
        add: Any = client.register_script(_ADD)
        take: Any = client.register_script(_TAKE)
        end: Any = client.register_script(_END)
        start = time.perf_counter()
        for first in range(0, tasks, BATCH):
            await add(keys=[key], args=[body] * min(BATCH, tasks - first))
        added = tasks / (time.perf_counter() - start)
        await client.xgroup_create(key, "w", "0")
        start = time.perf_counter()
        while entries := await take(keys=[key], args=[BATCH]):
            await end(keys=[key], args=[arg for entry in entries for arg in (entry[0], result)])
        drained = tasks / (time.perf_counter() - start)
        await client.delete(key)
    return {
        f"ceiling: XADD in Lua, batches of {BATCH} /s": added,
        f"ceiling: XREADGROUP, XACK, XDEL, SET in Lua, batches of {BATCH} /s": drained,
    }
