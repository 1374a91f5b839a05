"""What a server says of itself when it is opened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from orcastra_core.interfaces.clock import Clock
from orcastra_core.model.errors import BrokerError, InvalidOption
from orcastra_core.model.profile import Cap, Durability, Profile
from orcastra_redis import layout
from orcastra_redis.core import Core
from orcastra_redis.settings import CLAIMS, LIMITS, NOTES

_OLDEST = (6, 2)
_FORGETS = "a server without appendonly forgets sessions, and all else, when it ends"


async def greet(core: Core, clock: Clock) -> Profile:
    """Check the server and the domain's layout, and tell what it offers.

    Raises:
        InvalidOption: It is too old, or may evict tasks.
        ContractMismatch: The domain was written by a newer release.
        BrokerError: As ever.
    """
    facts = await _facts(core)
    version, mode = str(facts["redis_version"]), str(facts.get("redis_mode", "standalone"))
    if tuple(map(int, version.split(".")[:2])) < _OLDEST:
        raise InvalidOption(f"{core.link.where}: Redis {version} is too old; {_OLDEST[0]}.{_OLDEST[1]} is needed")
    if mode == "sentinel":
        raise InvalidOption(f"{core.link.where}: it is a sentinel; add sentinel=<name of the master> to the URL")
    if mode == "cluster" and not core.settings.cluster:
        raise InvalidOption(f"{core.link.where}: it is a node of a cluster; add cluster=1 to the URL")
    if mode != "cluster" and core.settings.cluster:
        raise InvalidOption(f"{core.link.where}: it is no cluster; leave cluster=1 out of the URL")
    policy = str(facts.get("maxmemory_policy", "noeviction"))
    if policy != "noeviction" and not core.settings.unsafe_eviction:
        raise InvalidOption(
            f"{core.link.where}: maxmemory-policy is {policy}, which throws tasks away when memory is short;"
            " set it to noeviction, or say unsafe_eviction=1"
        )
    before = clock.now()
    seconds, microseconds = await core.link.call("TIME")
    core.offset = int(seconds) + int(microseconds) / 1e6 - (before + clock.now()) / 2
    await layout.establish(core.link)
    durability = await _durability(core, facts)
    forgets = durability is Durability.PROCESS
    return Profile(
        server=f"Redis {version}",
        capabilities=CLAIMS - {Cap.STABLE_SESSION} if forgets else CLAIMS,
        limits=attrs.evolve(LIMITS, connect_timeout=core.settings.connect_timeout),
        durability=durability,
        clock_offset=core.offset if abs(core.offset) > 0.05 else 0.0,
        notes=NOTES | ({Cap.STABLE_SESSION: _FORGETS} if forgets else {}),
    )


async def _facts(core: Core) -> Mapping[str, Any]:
    said: Any = await core.link.call("INFO")
    facts: Mapping[str, Any]
    if isinstance(said, dict):
        facts = said
    else:
        facts = dict(line.split(":", 1) for line in said.decode().split("\r\n") if ":" in line)
    if "redis_version" not in facts:
        raise BrokerError(f"{core.link.where}: it does not say which Redis it is")
    return facts


async def _durability(core: Core, facts: Mapping[str, Any]) -> Durability:
    if core.settings.wait_replicas:
        return Durability.REPLICATED
    if str(facts.get("aof_enabled")) != "1":
        return Durability.PROCESS
    return Durability.POWER_LOSS if await _flushes_always(core) else Durability.SERVER_CRASH


async def _flushes_always(core: Core) -> bool:
    try:
        said: Any = await core.link.call("CONFIG", "GET", "appendfsync")
    except BrokerError as error:
        if error.retryable:
            raise
        return False  # a user who may not ask, or a service that hides it
    return "always" in str(said)
