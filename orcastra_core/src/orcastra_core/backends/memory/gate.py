"""Whether a broker is open. Apart from the broker, so that its sub-services do not keep it alive."""

from __future__ import annotations

from orcastra_core.model.errors import BrokerClosed


class Gate:
    """Open or closed.

    Attributes:
        since: The monotonic moment since when it is open; None: closed.
    """

    __slots__ = ("since",)

    def __init__(self) -> None:
        self.since: float | None = None

    def check(self) -> float:
        """Return since when the broker is open. Raises BrokerClosed."""
        if self.since is None:
            raise BrokerClosed("the memory broker is not open")
        return self.since
