"""What this dist's tests share beside ``server_rig``: a client that keeps what was confirmed, and what its workers run."""

from kafka_rig.orders import SHOP, Orders

__all__ = ["SHOP", "Orders"]
