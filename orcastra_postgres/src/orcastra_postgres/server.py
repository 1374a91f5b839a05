"""What a server says of itself when it is opened."""

from __future__ import annotations

import attrs

from orcastra_core.interfaces.clock import Clock
from orcastra_core.model.errors import BrokerUnavailable, InvalidOption
from orcastra_core.model.profile import Cap, Durability, Profile
from orcastra_postgres.connect import Connection
from orcastra_postgres.core import Core
from orcastra_postgres.migrate import check, migrate
from orcastra_postgres.settings import CLAIMS, LIMITS, NOTES
from orcastra_postgres.statements import query

_OLDEST = 13
_FORGETFUL = "with synchronous_commit=off a crash of the server forgets what it handed out last"


async def greet(core: Core, clock: Clock) -> Profile:
    """Check the server and the layout, make the domain known, and tell what the server offers.

    Raises:
        InvalidOption: It is too old, or its transactions do not see what others commit meanwhile.
        ContractMismatch: The schema was written by a newer release.
        BrokerError: As ever.
    """

    async def work(conn: Connection) -> Profile:
        return await _greet(core, clock, conn)

    return await core.pool.run(work)


async def _greet(core: Core, clock: Clock, conn: Connection) -> Profile:
    settings = core.settings
    version = conn.get_server_version()
    if version.major < _OLDEST:
        raise InvalidOption(f"{settings.where}: PostgreSQL {version.major} is too old; {_OLDEST} is needed")
    if await conn.fetchval(query("read_only", settings.schema)):
        raise BrokerUnavailable(f"{settings.where}: the server is read-only: a standby, or not the primary any more")
    isolation = await conn.fetchval(query("isolation", settings.schema))
    if isolation != "read committed":  # a pooler's connections are as the server makes them
        raise InvalidOption(
            f"{settings.where}: transactions are {isolation} here; each statement has to see what was committed before it:"
            " ALTER ROLE … SET default_transaction_isolation = 'read committed', for the role that connects"
        )
    if settings.migrate:
        await migrate(conn, settings.schema, settings.where)
    else:
        await check(conn, settings.schema, settings.where)
    look = query("domain", settings.schema)
    number = await conn.fetchval(look, settings.domain)
    if number is None:
        await conn.execute(query("add_domain", settings.schema), settings.domain)
        number = await conn.fetchval(look, settings.domain)
    core.domain = number
    before = clock.now()
    said = await conn.fetchval(query("now", settings.schema))
    core.offset = said - (before + clock.now()) / 2
    durability = await _durability(core, conn)
    lasting = durability >= Durability.SERVER_CRASH
    return Profile(
        server=f"PostgreSQL {version.major}.{version.micro}",
        capabilities=CLAIMS if lasting else CLAIMS - {Cap.STABLE_SESSION},
        limits=attrs.evolve(LIMITS, connect_timeout=settings.connect_timeout),
        durability=durability,
        clock_offset=core.offset if abs(core.offset) > 0.05 else 0.0,
        notes=NOTES if lasting else NOTES | {Cap.STABLE_SESSION: _FORGETFUL},
    )


async def _durability(core: Core, conn: Connection) -> Durability:
    flush, commit, standbys = await conn.fetchrow(query("durability", core.settings.schema))
    if commit == "off":
        return Durability.PROCESS
    if flush != "on":
        return Durability.SERVER_CRASH
    return Durability.REPLICATED if standbys and commit != "local" else Durability.POWER_LOSS
