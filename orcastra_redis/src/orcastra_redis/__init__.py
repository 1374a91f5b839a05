"""The Redis Streams backend of Orcastra: ``redis://``, ``rediss://`` and ``unix://``."""

from orcastra_redis.broker import RedisBroker

__all__ = ["RedisBroker"]
