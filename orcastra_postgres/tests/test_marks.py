"""A fetch does not walk over what was taken before: the lanes' marks move up, whoever holds what, and pass nothing that is to come."""

from __future__ import annotations

import pytest
from postgres_rig import Open
from server_rig import QUEUE, make, taken, until

from orcastra_core.interfaces.session import Session
from orcastra_core.model.published import STORED
from orcastra_core.model.settlement import DONE
from orcastra_postgres import PostgresBroker
from orcastra_postgres.conformance_servers import Server


class Traffic:
    """Tasks that come and go."""

    def __init__(self, broker: PostgresBroker, session: Session) -> None:
        self._broker = broker
        self._session = session
        self._turn = 0

    async def run(self) -> None:
        """Let a few pass."""
        self._turn += 1
        assert await self._broker.publish([make.envelope() for _ in range(5)]) == [STORED] * 5
        held = await taken(self._session, 5)
        assert await self._session.settle([make.complete(one) for one in held], number=self._turn) == [DONE] * 5

    async def until_marked(self, server: Server, place: int, *, seconds: float = 5.0) -> bool:
        """Let some pass until the lane's mark has come to this place; False if it has not within that time."""

        async def there() -> bool:
            await self.run()
            return await server.ask("select mark >= $1 from orcastra.lane", place) == [(True,)]

        try:
            await until(there, "the mark is there", seconds=seconds)
        except AssertionError:
            return False
        return True


async def last_place(server: Server) -> int:
    ((place,),) = await server.ask("select last_value from orcastra.place")
    return int(place)


@pytest.mark.parametrize(
    "held",
    [
        ["begin isolation level repeatable read", "select count(*) from orcastra.task"],
        ["begin", "create table public.other()"],
    ],
    ids=["an old snapshot", "an open transaction that writes"],
)
async def test_they_move_up_whoever_holds_something(postgres: Server, opened: Open, held: list[str]) -> None:
    broker = await opened()
    session = await broker.open_session([QUEUE], lease=5.0)
    traffic = Traffic(broker, session)
    await traffic.run()
    holder = await postgres.client()
    for statement in held:
        await holder.execute(statement)
    for _ in range(20):
        await traffic.run()
    assert await traffic.until_marked(postgres, await last_place(postgres))
    await holder.close()
    await session.leave()


async def test_they_do_not_pass_what_an_open_transaction_has_published(postgres: Server, opened: Open) -> None:
    broker = await opened()
    session = await broker.open_session([QUEUE], lease=5.0)
    traffic = Traffic(broker, session)
    await traffic.run()
    caller = await postgres.client()
    late = make.envelope()
    transaction = caller.transaction()
    await transaction.start()
    assert await broker.publish_within(caller, [late]) == [STORED]
    assert not await traffic.until_marked(postgres, await last_place(postgres), seconds=1.5)
    await transaction.commit()
    (delivery,) = await taken(session, 1)
    assert delivery.envelope.id == late.id
    assert await traffic.until_marked(postgres, await last_place(postgres))
    await caller.close()
    await session.leave()


async def test_they_stay_while_a_prepared_transaction_may_have_put_something_there(
    postgres: Server, opened: Open
) -> None:
    broker = await opened()
    session = await broker.open_session([QUEUE], lease=5.0)
    traffic = Traffic(broker, session)
    await traffic.run()
    caller = await postgres.client()
    await caller.execute("begin")
    await caller.execute("create table public.other(place bigint)")
    await caller.execute("insert into public.other select nextval('orcastra.place')")
    await caller.execute("prepare transaction 'both'")
    await caller.close()
    assert not await traffic.until_marked(postgres, await last_place(postgres), seconds=1.5)
    await postgres.ask("commit prepared 'both'")
    assert await traffic.until_marked(postgres, await last_place(postgres))
    await session.leave()
