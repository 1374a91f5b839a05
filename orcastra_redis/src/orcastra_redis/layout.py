"""The layout of a domain's keys: written by the first who opens it, refused if it is newer than this code, migrated if it is older."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from orcastra_core.interfaces.broker import Broker
from orcastra_core.model.errors import ContractMismatch
from orcastra_redis.link import Link

_log = logging.getLogger("orcastra.redis")

Migration: TypeAlias = Callable[[Link], Awaitable[None]]

MIGRATIONS: Sequence[Migration] = ()
"""What makes layout n + 1 of layout n; the first is that from 1.

There is no lock, which a process that died could hold: several openers may run a migration at the same time, and one may die in the middle of
it. So each of its scripts is a bounded step that is harmless when repeated, and begins with
``if call('HGET', P .. 'meta', 'layout') ~= '<n>' then return 0 end``: whoever comes late changes nothing any more. When it
has returned, the layout's number is moved on by compare-and-set.
"""


async def establish(link: Link) -> None:
    """Have the domain in the layout of this code.

    Raises:
        ContractMismatch: A newer release wrote it.
        BrokerError: As ever; what a migration has done so far stays, and the next opener goes on.
    """
    newest = len(MIGRATIONS) + 1
    while True:
        layout, contract = await link.run("open", newest, Broker.contract)
        found, written = int(layout), (contract or b"0").decode()
        if found > newest or _parts(written) > _parts(Broker.contract):
            raise ContractMismatch(
                f"{link.where}: domain {link.settings.domain!r} has layout {found} of contract {written}, this release knows"
                f" layout {newest} of contract {Broker.contract}; upgrade orcastra-redis"
            )
        if found == newest and written == Broker.contract:
            return
        following = min(found + 1, newest)
        if found < newest:
            _log.info("%s: domain %r goes from layout %d to %d", link.where, link.settings.domain, found, following)
            await MIGRATIONS[found - 1](link)
        await link.run("move_on", found, following, Broker.contract if following == newest else written)


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
