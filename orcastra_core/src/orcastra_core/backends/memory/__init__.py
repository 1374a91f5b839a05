"""``memory://``: the reference broker. Loses everything with its process, and does all the rest."""

from orcastra_core.backends.memory.broker import MemoryBroker
from orcastra_core.backends.memory.session import MemorySession

__all__ = ["MemoryBroker", "MemorySession"]
