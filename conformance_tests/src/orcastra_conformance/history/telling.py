"""Records in words, a line each, for people who read a report."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import attrs

from orcastra_conformance.history.records import (
    Cancel,
    Expire,
    HandOut,
    Leave,
    Note,
    Open,
    Pass,
    Publish,
    Purge,
    Push,
    Read,
    Record,
    Replay,
    Settle,
    Sweep,
)
from orcastra_core.model.counts import FRESH
from orcastra_core.model.delivery import Delivery
from orcastra_core.model.envelope import Dedup, Envelope
from orcastra_core.model.result import Absence, Result
from orcastra_core.model.session import Swept
from orcastra_core.model.settlement import Complete, Dead, Release, Retry, Settlement

_LONGEST = 80


def short(task_id: str) -> str:
    """Return the end of an id: enough to tell tasks of one case apart."""
    return task_id[-6:]


def shown(delivery: Delivery) -> str:
    """Return a delivery in words: its id and its counts (attempt/lost/released)."""
    counts = delivery.counts
    return f"{short(delivery.envelope.id)}({counts.attempt}/{counts.lost}/{counts.released})"


def told(record: Record) -> str:
    """Return a record as a line, without its number."""
    line = _called(record)
    if record.failed:
        return f"{line} → raised {record.failed}"
    try:
        answer = _answered(record)
    except (AttributeError, TypeError):  # whatever a broken broker answered, the report is printed
        answer = repr(record.answer)[:_LONGEST]
    return f"{line} → {answer}" if answer else line


def _called(record: Record) -> str:
    match record:
        case Publish():
            return f"publish {_listed(_sent(e) for e in record.envelopes)}"
        case Open():
            return "open a session"
        case HandOut():
            return f"{record.session} fetch {record.asked}"
        case Settle():
            return f"{record.session} settle #{record.number} {_listed(_settled(item) for item in record.batch)}"
        case Expire():
            return f"expire {record.session}"
        case Sweep():
            return "sweep"
        case Leave():
            return f"{record.session} leave"
        case Cancel():
            return f"cancel {_listed(map(short, record.ids))}"
        case Replay():
            return f"replay {_listed(map(short, record.ids))}"
        case Purge():
            return f"purge {record.queue!r} of {' and '.join(record.states)}"
        case Read():
            return f"results of {_listed(map(short, record.ids))}"
        case Push():
            return f"{record.channel} was told"
        case Pass():
            return f"{record.seconds:g} s pass"
        case Note():
            return record.text


def _answered(record: Record) -> str:
    match record:
        case Publish() | Settle() | Replay():
            return _listed(map(_named, record.answer or ()))
        case HandOut():
            return _listed(map(shown, record.answer or ()))
        case Open():
            return str(record.answer)
        case Expire() | Purge():
            return str(record.answer)
        case Sweep():
            swept = record.answer or Swept()
            lost = _listed(short(one.id) for one in swept.lost)
            return f"reaped {_listed(swept.sessions)}, lost {lost}{', more' if swept.more else ''}"
        case Cancel():
            return _listed(answer.name for answer in record.answer or ())
        case Read():
            return _listed(map(_found, record.answer or ()))
        case Push():
            return _listed(f"{short(result.id)} {_found(result)}" for result in record.answer or ())
        case _:
            return ""


def _listed(words: Iterable[str]) -> str:
    return f"[{', '.join(words)}]"


def _sent(envelope: Envelope) -> str:
    """Return an envelope by its id, and by what it asks for beside being run."""
    asks = [f"queue {envelope.queue!r}"] if envelope.queue != "q" else []
    for name in ("priority", "due", "dedup", "order_by"):
        value = getattr(envelope, name)
        if value:
            asks.append(f"{name} {_asked(value)}")
    if envelope.counts != FRESH:
        asks.append(f"counts {envelope.counts.attempt}/{envelope.counts.lost}/{envelope.counts.released}")
    return f"{short(envelope.id)}({'; '.join(asks)})" if asks else short(envelope.id)


def _asked(value: object) -> str:
    if isinstance(value, Dedup):
        return f"{value.key!r} {value.mode.name}{f' {value.window:g} s' if value.window else ''}"
    return f"{value:.3f}" if isinstance(value, float) else repr(value)


def _settled(item: Settlement) -> str:
    words = f"{type(item).__name__} {shown(item.delivery)}"
    if isinstance(item, (Retry, Release)) and item.after:
        words += f" after {item.after:g} s"
    if isinstance(item, (Complete, Dead)) and item.emit:
        words += f" emit {_listed(_sent(e) for e in item.emit)}"
    return words


def _named(answer: object) -> str:
    fields = attrs.asdict(cast("attrs.AttrsInstance", answer), recurse=False) if attrs.has(type(answer)) else {}
    inside = ", ".join(f"{value!r}"[:_LONGEST] for value in fields.values() if value != ())
    return f"{type(answer).__name__}({inside})" if fields else str(answer)


def _found(found: Result | Absence) -> str:
    return found.outcome.name if isinstance(found, Result) else found.name
