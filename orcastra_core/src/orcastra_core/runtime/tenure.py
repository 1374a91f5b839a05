"""One session of a worker, with what settles under it."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence

from orcastra_core.interfaces.clock import Clock
from orcastra_core.interfaces.session import Session
from orcastra_core.model.event import EventKind
from orcastra_core.model.ids import TaskId
from orcastra_core.model.result import ErrorInfo
from orcastra_core.model.settlement import Dead, Settlement
from orcastra_core.runtime.event_sink import Silence
from orcastra_core.runtime.patience import Patience
from orcastra_core.runtime.settler import Settler
from orcastra_core.runtime.stats import Stats
from orcastra_core.runtime.verdict import Judge
from orcastra_core.serialization.event_codec import EventWriter

_log = logging.getLogger("orcastra.runtime")


class Tenure:
    """One session of a worker: its settler, and its voice in the event log.

    Ends with the session. What is settled through it after its session was
    reaped is discarded, with an event that says so.
    """

    def __init__(
        self,
        session: Session,
        *,
        max_batch: int,
        clock: Clock,
        rng: random.Random,
        stats: Stats,
        log_events: Callable[[bytes], None],
        events: bool = True,
        full_events: bool = False,
    ) -> None:
        self.session = session
        self.full_events = events and full_events
        self.fenced = False
        self.judge = Judge(EventWriter(session.id) if events else Silence(), rng)
        self.settler = Settler(
            session,
            max_batch=max_batch,
            patience=Patience("settling", clock, rng),
            on_stale=self.discard,
            on_refused=self.refused,
        )
        self._clock = clock
        self._stats = stats
        self._log_events = log_events

    def settle(self, settlement: Settlement) -> None:
        """Settle soon; discard if the session was reaped."""
        if self.fenced:
            self.discard([settlement])
        else:
            self.settler.add(settlement)

    def started(self, task_id: TaskId, now: float, attempt: int) -> None:
        """Log that an attempt began; only with ``events=full``."""
        self._log_events(self.judge.writer.event(EventKind.STARTED, now, task_id, attempt))

    def fence(self) -> None:
        """The session was reaped."""
        self.fenced = True
        self.settler.discard()

    def discard(self, settlements: Sequence[Settlement]) -> None:
        """These came too late: count them, and log an event that says so."""
        now = self._clock.now()
        self._stats.stale += len(settlements)
        _log.warning(
            "%d outcomes came too late and were discarded: session %s was reaped", len(settlements), self.session.id
        )
        for settlement in settlements:
            self._log_events(self.judge.discarded(settlement, now, "the session was reaped"))

    def refused(self, settlement: Settlement, error: Exception) -> Settlement:
        """Return what to settle instead of one that can never be settled as it is."""
        info = ErrorInfo(type(error).__name__, str(error))
        delivery = settlement.delivery
        if not isinstance(settlement, Dead):
            return self.judge.dead(
                delivery, delivery.envelope, None, f"its outcome could not be stored: {error}", info, self._clock.now()
            )
        return self.judge.released(
            delivery, delivery.envelope, 60.0, f"its outcome could not be stored: {error}", self._clock.now()
        )
