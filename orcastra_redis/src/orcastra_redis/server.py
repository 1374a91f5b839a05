"""What a server says of itself when it is opened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from orcastra_core.interfaces.clock import Clock
from orcastra_core.model.errors import BrokerError, ContractMismatch, InvalidOption
from orcastra_core.model.profile import Durability, Profile
from orcastra_redis.core import Core
from orcastra_redis.settings import CLAIMS, LAYOUT, LIMITS, NOTES

CONTRACT = "0.1"
_OLDEST = (6, 2)


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
    if (mode == "cluster") is not core.settings.cluster:
        wanted = int(mode == "cluster")
        raise InvalidOption(f"{core.link.where}: it runs in {mode} mode; the URL has to say cluster={wanted}")
    policy = str(facts.get("maxmemory_policy", "noeviction"))
    if policy != "noeviction" and not core.settings.unsafe_eviction:
        raise InvalidOption(
            f"{core.link.where}: maxmemory-policy is {policy}, which throws tasks away when memory is short;"
            " set it to noeviction, or say unsafe_eviction=1"
        )
    before = clock.now()
    seconds, microseconds = await core.link.call("TIME")
    core.offset = int(seconds) + int(microseconds) / 1e6 - (before + clock.now()) / 2
    layout, contract = await core.link.run("open", LAYOUT, CONTRACT)
    if int(layout) > LAYOUT:
        raise ContractMismatch(
            f"{core.link.where}: domain {core.settings.domain!r} has layout {int(layout)} of contract"
            f" {contract.decode()}, this release knows {LAYOUT}; upgrade orcastra-redis"
        )
    return Profile(
        server=f"Redis {version}",
        capabilities=CLAIMS,
        limits=attrs.evolve(LIMITS, connect_timeout=core.settings.connect_timeout),
        durability=await _durability(core, facts),
        clock_offset=core.offset if abs(core.offset) > 0.05 else 0.0,
        notes=dict(NOTES),
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
