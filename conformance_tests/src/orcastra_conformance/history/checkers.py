"""Pure checkers: each takes the records of a case and returns what is wrong with them, in words with the records' numbers.

What the records leave open (calls that overlapped, or that nobody answered) is
taken for right.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from orcastra_conformance.history.counting import counts
from orcastra_conformance.history.holding import one_holder, settled_once
from orcastra_conformance.history.ordering import key_order, queue_order
from orcastra_conformance.history.outcomes import results
from orcastra_conformance.history.records import Record
from orcastra_conformance.history.totals import Total, total, total_queue
from orcastra_core.model.ids import TaskId
from orcastra_core.model.profile import Cap


def judged(records: Sequence[Record], caps: Collection[Cap], *, left: Collection[TaskId] = ()) -> list[str]:
    """Return the findings of every checker that a broker with these capabilities has to bear.

    Args:
        records: A history that was drained in the end.
        caps: What the broker claims.
        left: Tasks that are known to be waiting still.
    """
    found = total_queue(records, left=left) + counts(records)
    found += settled_once(records, fenced=Cap.FENCED in caps)
    if Cap.FENCED in caps:
        found += one_holder(records)
    if Cap.ORDERED_QUEUE in caps:
        found += queue_order(records)
    if Cap.ORDERED_KEY in caps:
        found += key_order(records)
    if Cap.RESULTS in caps:
        found += results(records)
    return found


__all__ = [
    "Total",
    "counts",
    "judged",
    "key_order",
    "one_holder",
    "queue_order",
    "results",
    "settled_once",
    "total",
    "total_queue",
]
