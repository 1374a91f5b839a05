"""What the numbers in the tables mean."""

from __future__ import annotations

READY, DELAYED, BLOCKED, DEAD, FINISHED, MOVED = range(6)
"""``task.state``. READY is also said of what runs: whether it does, ``running`` tells.

BLOCKED waits for its ordering key; MOVED waits for a Scheduler to publish it again.
"""

MODE_ALIVE, MODE_UNTIL_START, MODE_WINDOW = range(3)
"""``task.dedup_mode``: the numbers of ``DedupMode``."""

_HAND_SHIFT = 46
_HAND_MASK = 0x1FFFF
_NUM_MASK = (1 << 45) - 1

RECEIPT = f"((((attempt + released) & {_HAND_MASK}) << {_HAND_SHIFT}) | (task.num << 1) | (dedup IS NOT NULL OR okey IS NOT NULL))"
"""The receipt of a task's next, or present, hand-over, in SQL.

Between two hand-overs to one session either count grows, so a receipt is unique in its session. Its lowest bit says that keys
hang on the task, so that settling the others need not look.
"""

NUM = f"((receipt >> 1) & {_NUM_MASK})"
"""The task of a receipt, in SQL."""


def num_of(receipt: int) -> int:
    """Return the number of the task that a receipt is about."""
    return receipt >> 1 & _NUM_MASK
