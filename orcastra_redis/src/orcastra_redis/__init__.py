"""Orcastra's Redis backend: applications name it by its URL, ``redis://…``, and never import it."""

from __future__ import annotations

from orcastra_redis.broker import RedisBroker

__all__ = ["RedisBroker"]
