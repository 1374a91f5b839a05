"""``orcastra kafka lag``: how much of each queue is not done yet."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import click

from orcastra_core.liveness.system_clock import SystemClock
from orcastra_core.model.broker_url import BrokerUrl
from orcastra_core.model.errors import BrokerUnavailable, InvalidOption
from orcastra_kafka.advice import advised
from orcastra_kafka.classic.lane import takes_classic
from orcastra_kafka.core import Core
from orcastra_kafka.errors import CLIENT_ERRORS, translate
from orcastra_kafka.lag import QueueLag, lag_of
from orcastra_kafka.settings import Settings
from orcastra_kafka.topics import LEVELS


@click.group("kafka", short_help="Kafka: how far workers are behind.")
def command() -> None:
    """What only Kafka has."""


@command.command("lag", short_help="How much of each queue is not done yet.")
@click.argument("queues", metavar="[QUEUE]...", nargs=-1)
@click.option("--url", envvar="ORCASTRA_URL", help="The broker's URL.  [env: ORCASTRA_URL]")
@click.option("--json", "json_", is_flag=True, help="One JSON object a line.")
def lag(queues: tuple[str, ...], url: str | None, json_: bool) -> None:
    """Count, by queue and level, the tasks that nobody is done with yet, those that run among them; dead letters; and what is scheduled.

    Without QUEUE all that the domain has. The ends of transactions are counted too, until somebody has passed them.
    """
    if url is None:
        raise click.UsageError("name a cluster: --url kafka://host:9092, or set ORCASTRA_URL")
    found = asyncio.run(_lag(_settings(url), queues))
    if json_:
        for one in found:
            row = {"queue": one.queue, "levels": one.levels, "dead": one.dead, "scheduled": one.scheduled}
            click.echo(json.dumps(row, ensure_ascii=False))
    elif found:
        _print(found)
    else:
        click.echo("no queues")


def _settings(url: str) -> Settings:
    parsed = BrokerUrl.parse(url)
    if parsed.scheme != "kafka":
        raise InvalidOption(f"{parsed}: only a kafka:// URL has lag")
    return Settings.of(parsed)


async def _lag(settings: Settings, queues: Sequence[str]) -> Sequence[QueueLag]:
    core = Core(settings, SystemClock())
    try:
        try:
            async with asyncio.timeout(settings.connect_timeout):
                await core.cluster.open()
        except TimeoutError as error:
            raise BrokerUnavailable(f"{core.where}: no answer within {settings.connect_timeout:g} s") from error
        except CLIENT_ERRORS as error:
            raise advised(translate(error, core.where), settings) from error
        core.take_lane("classic" if takes_classic(settings, core.cluster) else "share")
        return await lag_of(core, queues)
    except CLIENT_ERRORS as error:
        raise translate(error, core.where) from error
    finally:
        await core.close()


def _print(found: Sequence[QueueLag]) -> None:
    names = ["queue", *LEVELS.values(), "dead", "scheduled"]
    rows = [
        [one.queue, *(str(one.levels.get(level, "")) for level in LEVELS.values()), str(one.dead), str(one.scheduled)]
        for one in found
    ]
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
    for row in [names, *rows]:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        click.echo("  ".join(cells).rstrip())
