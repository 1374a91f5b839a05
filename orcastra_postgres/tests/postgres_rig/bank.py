"""Accounts in the broker's own database, and tasks that move money between them in the settling transaction."""

from __future__ import annotations

from orcastra_postgres.conformance_servers import Server

ACCOUNTS = 100
START = 100_000
"""Cents in each account at the beginning."""

SHOP = '''
import asyncio
import random

from orcastra_core import ExponentialBackoff, Orcastra, RetryPolicy, current_context

app = Orcastra()
AGAIN = RetryPolicy(max_attempts=100, backoff=ExponentialBackoff(initial=0.05, maximum=0.5))


@app.task(name="transfer", queue="q", retry=AGAIN)
async def transfer(number: int, source: int, target: int, cents: int) -> int:
    """Write in the transaction that this task is settled in."""
    connection = await current_context().transaction()
    for account, change in sorted([(source, -cents), (target, cents)]):
        await connection.execute("update bank.account set cents = cents + $1 where id = $2", change, account)
    await asyncio.sleep(random.random() * 0.01)
    await connection.execute("insert into bank.transfer values ($1, $2, $3, $4)", number, source, target, cents)
    return number
'''
"""The module of the workers. Nothing in the tables keeps a transfer from being written twice: that is the broker's part."""


class Bank:
    """The tables, seen from outside."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def found(self) -> None:
        """Make the accounts."""
        await self._server.ask("create schema bank")
        await self._server.ask("create table bank.account(id int primary key, cents bigint not null)")
        await self._server.ask(
            "create table bank.transfer(number int not null, source int not null, target int not null, cents bigint not null)"
        )
        await self._server.ask(
            "insert into bank.account select n, $1::int from generate_series(1, $2::int) n", START, ACCOUNTS
        )

    async def balances(self) -> dict[int, int]:
        """Return what each account has."""
        return dict(await self._server.ask("select id, cents from bank.account"))

    async def transfers(self) -> list[tuple[int, int, int, int]]:
        """Return number, source, target and cents of each transfer that took place."""
        return [tuple(row) for row in await self._server.ask("select * from bank.transfer order by number")]
