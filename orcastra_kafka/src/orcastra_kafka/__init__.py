"""Orcastra's Kafka backend: applications name it by its URL, ``kafka://…``, and never import it."""

from __future__ import annotations

from orcastra_kafka.broker import KafkaBroker

__all__ = ["KafkaBroker"]
