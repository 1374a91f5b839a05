"""From a run that ended to its settlement."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from orcastra_core.interfaces.serializer import Serializer
from orcastra_core.model.errors import CodecError, SerializationError, Snooze, Steer
from orcastra_core.model.settlement import Settlement
from orcastra_core.runtime.describe import describe, text_of
from orcastra_core.runtime.run import Cause, Run
from orcastra_core.runtime.stats import Stats

_log = logging.getLogger("orcastra.tasks")


def returned(run: Run, value: Any, serializer: Serializer, max_body: int, now: float, stats: Stats) -> Settlement:
    """The function returned: its value is the result, if it can be written."""
    judge, delivery, envelope, spec = run.tenure.judge, run.delivery, run.envelope, run.spec
    try:
        data = value if spec.own_process else spec.signature.dump_result(serializer, value)
        if len(data) <= max_body:
            stats.completed += 1
            return judge.completed(delivery, envelope, spec, data, serializer.content_type, run.context.emit, now)
        refused: CodecError = SerializationError(
            f"task {spec.name}: its result takes {len(data)} bytes; the limit is {max_body}"
        )
    except CodecError as error:
        refused = error
    stats.failed += 1
    _log.warning("task %s %s: %s", spec.name, envelope.id, refused)
    return judge.dead(delivery, envelope, spec, str(refused), describe(refused), now)


def raised(run: Run, error: BaseException | None, now: float, stats: Stats) -> Settlement:
    """The function raised, or was stopped."""
    judge, delivery, envelope, spec, cause = run.tenure.judge, run.delivery, run.envelope, run.spec, run.cause
    if cause is Cause.TIMEOUT and run.timeout is not None:
        stats.failed += 1
        _log.warning("task %s %s timed out after %g s", spec.name, envelope.id, run.timeout)
        return judge.timed_out(delivery, envelope, spec, run.timeout, now)
    if isinstance(error, asyncio.CancelledError) and cause is Cause.CANCEL:
        stats.cancelled += 1
        return judge.cancelled(delivery, envelope, now)
    if isinstance(error, asyncio.CancelledError) and cause is not None:
        stats.released += 1
        return judge.released(delivery, envelope, 0.0, cause.value, now)
    assert error is not None
    if isinstance(error, Snooze):
        stats.released += 1
    else:
        stats.failed += 1
        if not isinstance(error, Steer):
            text = text_of(error)
            _log.warning("task %s %s failed: %s: %s", spec.name, envelope.id, type(error).__name__, text)
    return judge.raised(delivery, envelope, spec, error, now)


def unsettled(run: Run, error: Exception, now: float, stats: Stats) -> Settlement:
    """What the outcome means could not be told: ``error`` came up."""
    info = describe(error)
    stats.failed += 1
    _log.error("task %s %s: judging its outcome failed", run.spec.name, run.envelope.id, exc_info=error)
    reason = f"judging its outcome failed: {info.type}: {info.message}"
    return run.tenure.judge.dead(run.delivery, run.envelope, run.spec, reason, info, now)
