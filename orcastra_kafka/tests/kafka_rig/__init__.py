"""What this dist's tests share beside ``server_rig``: a client that keeps what was confirmed, and what its workers run."""

from collections.abc import Awaitable, Callable

from kafka_rig.orders import SHOP, Orders
from orcastra_kafka import KafkaBroker

Open = Callable[[str], Awaitable[KafkaBroker]]
"""Opens a broker by URL."""

__all__ = ["SHOP", "Open", "Orders"]
