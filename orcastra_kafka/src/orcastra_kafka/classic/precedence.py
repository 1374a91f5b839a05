"""What goes first: queues in the order in which they are asked for, and higher priorities within a queue."""

from __future__ import annotations

from collections.abc import Sequence

from orcastra_kafka.classic.member import Member


async def unread_ahead(members: Sequence[tuple[Member, int]], limit: int) -> bool:
    """Whether something would be handed out while the log has what goes before it, published and not read yet.

    Args:
        members: Of the queues that are asked for, in order, and how much is wanted of each.
        limit: How much is wanted in all.

    Raises:
        KafkaError, OSError, TimeoutError: The broker does not say.
    """
    ahead: dict[Member, set[int]] = {}
    asked: dict[Member, set[int]] = {}
    for member, most in members:
        left = min(most, limit)
        for level in member.levels:
            ready = min(member.ready(level), left)
            if ready:  # it would be handed out: all that might go before it counts
                asked = {one: set(levels) for one, levels in ahead.items()}
            left, limit = left - ready, limit - ready
            if left <= 0:
                break
            ahead.setdefault(member, set()).add(level)
    for member, levels in asked.items():
        if await member.unread(levels):
            return True
    return False
