"""One error out of a group."""

from __future__ import annotations


def first_leaf(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first exception of a group that is no group itself: task groups nest."""
    first = group.exceptions[0]
    return first_leaf(first) if isinstance(first, BaseExceptionGroup) else first
