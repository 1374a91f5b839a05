"""A share-group consumer (KIP-932, with renewals of KIP-1222 and exact record limits of KIP-1206) for asyncio.

It knows nothing of Orcastra. Connections, SASL, TLS, primitive types and record batches are aiokafka's; the messages
that aiokafka lacks, the share sessions and the membership are here.
"""

from __future__ import annotations

from orcastra_kafka.share.acks import AckType
from orcastra_kafka.share.cluster import Cluster, Connecting
from orcastra_kafka.share.consumer import ShareConsumer
from orcastra_kafka.share.errors import KafkaCode, SessionLost, ShareError
from orcastra_kafka.share.records import ShareRecord

__all__ = [
    "AckType",
    "Cluster",
    "Connecting",
    "KafkaCode",
    "SessionLost",
    "ShareConsumer",
    "ShareError",
    "ShareRecord",
]
