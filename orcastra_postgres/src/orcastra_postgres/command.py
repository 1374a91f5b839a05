"""``orcastra postgres migrate``: the tables, made or brought up to date by whom it pleases."""

from __future__ import annotations

import asyncio

import asyncpg
import click

from orcastra_core.model.broker_url import BrokerUrl
from orcastra_core.model.errors import InvalidOption
from orcastra_postgres.errors import CLIENT_ERRORS, translate
from orcastra_postgres.migrate import VERSION, migrate, script
from orcastra_postgres.settings import SCHEMA, Settings


@click.group("postgres", short_help="PostgreSQL: make its tables, or bring them up to date.")
def command() -> None:
    """What PostgreSQL needs once."""


@command.command("migrate", short_help="Make the tables, or bring them up to date.")
@click.option("--url", envvar="ORCASTRA_URL", help="The broker's URL.  [env: ORCASTRA_URL]")
@click.option(
    "--sql", is_flag=True, help="Print what would make them, for somebody else to run, and connect to nothing."
)
def migrate_(url: str | None, sql: bool) -> None:
    """Make the tables of this release in the URL's schema, or bring older ones up to date.

    Everything in one transaction; others that migrate wait for it. `open` does the same, unless the URL says migrate=0.
    """
    settings = _settings(url) if url else None
    if sql:
        click.echo(script(settings.schema if settings else SCHEMA))
        return
    if settings is None:
        raise click.UsageError("name a database: --url postgresql://user@host/database, or set ORCASTRA_URL")
    click.echo(asyncio.run(_migrated(settings)))


def _settings(url: str) -> Settings:
    parsed = BrokerUrl.parse(url)
    if parsed.scheme not in ("postgresql", "postgres"):
        raise InvalidOption(f"{parsed}: only a postgresql:// URL has tables to migrate")
    return Settings.of(parsed)


async def _migrated(settings: Settings) -> str:
    try:
        # behind a pooler: a statement that was prepared elsewhere, or a lock left behind, is of no use
        connection = await asyncpg.connect(
            settings.listen_dsn or settings.dsn, timeout=settings.connect_timeout, statement_cache_size=0
        )
        try:
            found = await migrate(connection, settings.schema, settings.where)
        finally:
            await connection.close()
    except CLIENT_ERRORS as error:
        raise translate(error, settings.where) from error
    done = (
        "is up to date"
        if found == VERSION
        else f"was brought from layout {found} to {VERSION}"
        if found
        else "was made"
    )
    return f"{settings.where}: the schema {settings.schema} {done}"
