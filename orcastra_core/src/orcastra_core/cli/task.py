"""``orcastra task show``: all that the store knows about a task."""

from __future__ import annotations

from typing import Any

import attrs
import click

from orcastra_core.app.orcastra import Orcastra
from orcastra_core.app.serializers import Serializers
from orcastra_core.cli.broker_option import app_of, broker_options
from orcastra_core.cli.event_loop import run
from orcastra_core.cli.terminal import as_json, console, facts, moment, table
from orcastra_core.interfaces.events import EventLog
from orcastra_core.model.dead_letter import DeadLetter
from orcastra_core.model.envelope import Envelope
from orcastra_core.model.errors import CodecError, TaskUnknown
from orcastra_core.model.event import Event, EventKind
from orcastra_core.model.ids import TaskId, parse_id
from orcastra_core.model.profile import Cap
from orcastra_core.model.result import Outcome, Result
from orcastra_core.model.task_state import TaskState

_PAGE = 1000


@attrs.frozen
class Findings:
    """What the stores of a broker know about one task."""

    id: TaskId
    state: TaskState | None
    result: Result | None
    dead: DeadLetter | None
    history: list[Event]

    @property
    def envelope(self) -> Envelope | None:
        """Its envelope, where one is left and can be read."""
        for place in (self.state, self.dead):
            if place is not None and isinstance(place.envelope, Envelope):
                return place.envelope
        return None


@click.group("task", short_help="Look at a task.")
def command() -> None:
    """Look at a task."""


@command.command("show", short_help="Show its state, result and history.")
@click.argument("task_id", metavar="ID")
@click.option("--json", "json_", is_flag=True, help="Print JSON.")
@broker_options
def show(task_id: str, json_: bool, url: str | None, target: str | None) -> None:
    """Show the state, the result and the history of the task ID."""
    wanted = parse_id(task_id)
    app = app_of(url, target)
    found = run(_find(app, wanted))
    if found.state is None and found.result is None and found.dead is None and not found.history:
        raise TaskUnknown(f"no task {wanted} is known in domain {app.url.domain!r} of {app.url}")
    if json_:
        click.echo(as_json(_as_plain(found), indent=2))
    else:
        _print(found)


async def _find(app: Orcastra, task_id: TaskId) -> Findings:
    async with app:
        broker, profile = app.broker, app.profile
        (state,) = await broker.find([task_id]) if profile.offers(Cap.LOOKUP) else (None,)
        (result,) = await app.results.get([task_id]) if app.results is not None else (None,)
        (dead,) = await broker.dead_letters.get([task_id]) if broker.dead_letters is not None else (None,)
        history = await _history(broker.events, task_id) if broker.events is not None else []
        return Findings(task_id, state, result if isinstance(result, Result) else None, dead, history)


async def _history(log: EventLog, task_id: TaskId) -> list[Event]:
    history: list[Event] = []
    after = None
    while entries := await log.read(after=after, limit=_PAGE):
        history += [entry.event for entry in entries if entry.event.task_id == task_id]
        after = entries[-1].cursor
    return sorted(history, key=lambda event: event.at)


def _value(result: Result) -> str:
    if result.outcome is not Outcome.COMPLETED:
        return ""
    try:
        return as_json(Serializers("cbor").by_content_type(result.content_type).loads(result.value))
    except CodecError as error:
        return f"({len(result.value)} bytes of {result.content_type}: {error})"


def _word(found: Findings) -> str:
    if found.result is not None and found.result.outcome is not Outcome.FAILED:
        return f"finished: {found.result.outcome.name.lower()}"
    if found.dead is not None:
        return "dead"
    if found.state is not None:
        return found.state.state.value
    return "finished: failed" if found.result is not None else "unknown, but in the event log"


def _rows(found: Findings) -> dict[str, str | None]:
    state, result, dead, envelope = found.state, found.result, found.dead, found.envelope
    counts = (
        state.counts if state is not None and state.counts is not None else dead.counts if dead is not None else None
    )
    submitted = next((event for event in found.history if event.kind is EventKind.SUBMITTED), None)
    detail = submitted.detail if submitted is not None else {}
    error = (
        result.error if result is not None and result.error is not None else dead.error if dead is not None else None
    )
    return {
        "task": envelope.task if envelope is not None else detail.get("task"),
        "id": found.id,
        "state": _word(found),
        "queue": envelope.queue if envelope is not None else detail.get("queue"),
        "priority": str(envelope.priority) if envelope is not None and envelope.priority else None,
        "earlier": f"{counts.attempt} failed, {counts.lost} lost, {counts.released} released" if counts else None,
        "session": state.session if state is not None else None,
        "due": moment(state.due) if state is not None else None,
        "expires": moment(envelope.expires) if envelope is not None else None,
        "dedup": envelope.dedup.key if envelope is not None and envelope.dedup is not None else None,
        "order by": envelope.order_by if envelope is not None else None,
        "parent": envelope.parent if envelope is not None else None,
        "ended": moment(result.ended_at) if result is not None else None,
        "value": (_value(result) or None) if result is not None else None,
        "reason": dead.reason if dead is not None else None,
        "error": f"{error.type}: {error.message}" if error is not None else None,
        "traceback": (error.traceback.rstrip() or None) if error is not None else None,
    }


def _print(found: Findings) -> None:
    out = console()
    out.print(facts(_rows(found)))
    if found.history:
        history = table("at", "event", "session", "detail")
        for event in found.history:
            detail = ", ".join(f"{name}={fact}" for name, fact in event.detail.items())
            history.add_row(moment(event.at), event.kind.name.lower(), event.session or "", detail)
        out.print()
        out.print(history)


def _as_plain(found: Findings) -> dict[str, Any]:
    plain: dict[str, Any] = {name.replace(" ", "_"): value for name, value in _rows(found).items() if value is not None}
    plain["history"] = [
        {
            "at": event.at,
            "event": event.kind.name.lower(),
            "attempt": event.attempt,
            "session": event.session,
            "detail": dict(event.detail),
        }
        for event in found.history
    ]
    return plain
