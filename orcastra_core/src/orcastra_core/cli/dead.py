"""``orcastra dead``: tasks that failed for good."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

import click

from orcastra_core.app.orcastra import Orcastra
from orcastra_core.cli.broker_option import DURATION, app_of, broker_options
from orcastra_core.cli.event_loop import run
from orcastra_core.cli.terminal import as_json, console, facts, moment, table
from orcastra_core.interfaces.dead_letters import DeadLetterStore
from orcastra_core.liveness.system_clock import SystemClock
from orcastra_core.model.dead_letter import DeadLetter
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import TaskUnknown, Unsupported
from orcastra_core.model.event import EventKind
from orcastra_core.model.ids import TaskId, parse_id
from orcastra_core.model.names import QueueName, queue_name
from orcastra_core.model.profile import Cap
from orcastra_core.model.published import Duplicate, Published, Refused, Stored, Unknown
from orcastra_core.serialization.event_codec import EventWriter

_PAGE = 500


def _queue(ctx: click.Context, parameter: click.Parameter, value: str | None) -> QueueName | None:
    return None if value is None else queue_name(value)


_queue_option = click.option("--queue", callback=_queue, help="Only those of this queue.")


@click.group("dead", short_help="Tasks that failed for good: list, show, replay, purge.")
def command() -> None:
    """Dead letters: tasks that failed for good."""


@command.command("list", short_help="List them.")
@_queue_option
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most so many.")
@click.option("--json", "json_", is_flag=True, help="One JSON object a line.")
@broker_options
def list_(queue: QueueName | None, limit: int, json_: bool, url: str | None, target: str | None) -> None:
    """List dead letters, the oldest first."""
    letters, more = run(_list(app_of(url, target), queue, limit))
    if json_:
        for letter in letters:
            click.echo(as_json(_rows(letter)))
        return
    if not letters:
        click.echo("no dead letters" + (f" of queue {queue!r}" if queue else ""))
        return
    listed = table("id", "queue", "task", "at", "reason")
    for letter in letters:
        task = letter.envelope.task if isinstance(letter.envelope, Envelope) else "(unreadable)"
        listed.add_row(letter.id, letter.queue, task, (moment(letter.at) or "")[:19], letter.reason)
    console().print(listed)
    if more:
        click.echo(f"… and more: raise --limit above {limit}")


@command.command("show", short_help="Show one.")
@click.argument("task_id", metavar="ID")
@broker_options
def show(task_id: str, url: str | None, target: str | None) -> None:
    """Show the dead letter ID with its error."""
    wanted = parse_id(task_id)
    letter = run(_get(app_of(url, target), wanted))
    if letter is None:
        raise TaskUnknown(f"no dead letter {wanted}; orcastra dead list shows those there are")
    console().print(facts(_rows(letter)))


@command.command("replay", short_help="Run them again.")
@click.argument("task_ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "all_", is_flag=True, help="All there are.")
@_queue_option
@broker_options
def replay(task_ids: tuple[str, ...], all_: bool, queue: QueueName | None, url: str | None, target: str | None) -> int:
    """Put dead letters back into their queues, counts at zero."""
    if bool(task_ids) == all_ or (queue is not None and not all_):
        raise click.UsageError("give the IDs, or --all (which --queue may narrow)")
    ids = [parse_id(task_id) for task_id in task_ids]
    replayed, failures = run(_replay(app_of(url, target), ids, queue))
    for task_id, why in failures.items():
        click.echo(f"orcastra: {task_id} {why}", err=True)
    click.echo(f"{replayed} replayed" + (f", {len(failures)} not" if failures else ""))
    return 1 if failures else 0


@command.command("purge", short_help="Forget them.")
@_queue_option
@click.option("--older-than", type=DURATION, default=0.0, help="Only those dead for at least so long: 90, 15m, 2h, 7d.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@broker_options
def purge(queue: QueueName | None, older_than: float, yes: bool, url: str | None, target: str | None) -> None:
    """Forget dead letters, for ever."""
    app = app_of(url, target)
    which = (f" of queue {queue!r}" if queue else "") + (f" older than {older_than:g} s" if older_than else "")
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("purging is for ever: confirm it with --yes")
        click.confirm(f"Forget all dead letters{which} at {app.url}?", abort=True)
    click.echo(f"{run(_purge(app, queue, older_than))} forgotten")


async def _list(app: Orcastra, queue: QueueName | None, limit: int) -> tuple[list[DeadLetter], bool]:
    letters: list[DeadLetter] = []
    async with app:
        async for letter in _all(_store(app), queue):
            if len(letters) == limit:
                return letters, True
            letters.append(letter)
    return letters, False


async def _get(app: Orcastra, task_id: TaskId) -> DeadLetter | None:
    async with app:
        (letter,) = await _store(app).get([task_id])
        return letter


async def _replay(app: Orcastra, ids: list[TaskId], queue: QueueName | None) -> tuple[int, dict[TaskId, str]]:
    async with app:
        store = _store(app)
        wanted = ids or [letter.id async for letter in _all(store, queue)]
        writer, clock = EventWriter(), SystemClock()
        size = min(_PAGE, app.profile.limits.max_batch)
        failures: dict[TaskId, str] = {}
        for start in range(0, len(wanted), size):
            batch = wanted[start : start + size]
            events = (
                [writer.event(EventKind.REPLAYED, clock.now(), task_id) for task_id in batch]
                if app.profile.offers(Cap.EVENTS)
                else []
            )
            for task_id, answer in zip(batch, await store.replay(batch, events=events), strict=True):
                why = _why_not(answer)
                if why is not None:
                    failures[task_id] = why
    return len(wanted) - len(failures), failures


async def _purge(app: Orcastra, queue: QueueName | None, older_than: float) -> int:
    forgotten = 0
    async with app:
        store = _store(app)
        while count := await store.purge(queue=queue, older_than=older_than, limit=_PAGE):
            forgotten += count
    return forgotten


async def _all(store: DeadLetterStore, queue: QueueName | None) -> AsyncIterator[DeadLetter]:
    after = None
    while page := await store.page(queue=queue, after=after, limit=_PAGE):
        for letter in page:
            yield letter
        after = page[-1].id


def _store(app: Orcastra) -> DeadLetterStore:
    if app.broker.dead_letters is None:
        raise Unsupported(Cap.DEAD_LETTERS)
    return app.broker.dead_letters


def _why_not(answer: Published | None) -> str | None:
    match answer:
        case Stored():
            return None
        case Duplicate(holder):
            return f"was not replayed: task {holder} holds its dedup key now"
        case Refused(why):
            return f"was not replayed: {why}"
        case Unknown(error):
            return f"may be replayed or not: {error}"
        case None:
            return "is no dead letter"


def _rows(letter: DeadLetter) -> dict[str, str | None]:
    envelope = letter.envelope
    return {
        "task": envelope.task if isinstance(envelope, Envelope) else f"(unreadable: {envelope.error})",
        "id": letter.id,
        "queue": letter.queue,
        "at": moment(letter.at),
        "reason": letter.reason,
        "earlier": f"{letter.counts.attempt} failed, {letter.counts.lost} lost, {letter.counts.released} released",
        "error": f"{letter.error.type}: {letter.error.message}",
        "traceback": letter.error.traceback.rstrip() or None,
        "bytes": None if isinstance(envelope, Envelope) else envelope.raw.hex(),
        "arguments": f"{len(envelope.body)} bytes of {envelope.content_type}"
        if isinstance(envelope, Envelope)
        else None,
    }
