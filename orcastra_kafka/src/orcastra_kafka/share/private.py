"""The fence around aiokafka's private half: nobody else in this package imports it.

Its modules below ``aiokafka`` itself carry no promise, so the version is checked
at import: a release nobody has looked at is refused rather than tried.
"""

from __future__ import annotations

import logging

import aiokafka
from aiokafka import codec
from aiokafka.conn import AIOKafkaConnection as Connection
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaError
from aiokafka.protocol.api import RequestStruct, Response
from aiokafka.protocol.types import (
    Array,
    Boolean,
    CompactArray,
    CompactBytes,
    CompactString,
    Int8,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)
from aiokafka.record.default_records import DefaultRecordBatchBuilder as BatchBuilder
from aiokafka.record.memory_records import MemoryRecords

SUPPORTED = (0, 14)
"""Major and minor version of the aiokafka whose private half was read."""


def check_version(version: str) -> None:
    """Raise ImportError for an aiokafka whose private half nobody has compared with this module."""
    found = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if found != SUPPORTED:
        wanted = ".".join(map(str, SUPPORTED))
        raise ImportError(
            f"orcastra-kafka builds on the protocol layer of aiokafka {wanted}.x, and {version} is installed;"
            f" pip install 'aiokafka~={wanted}.0'"
        )


def has_codec(name: str) -> bool:
    """Whether batches can be compressed that way: the libraries for most ways are optional."""
    has = {"snappy": codec.has_snappy, "lz4": codec.has_lz4, "zstd": codec.has_zstd}.get(name)
    return has is None or bool(has())


check_version(aiokafka.__version__)


class _NoSecrets(logging.Filter):
    """Drops the debug messages that would show what a login consists of."""

    def filter(self, record: logging.LogRecord) -> bool:
        said = record.args if isinstance(record.args, tuple) else ()
        return not any("SaslAuthenticate" in type(one).__name__ for one in said)


logging.getLogger("aiokafka.conn").addFilter(_NoSecrets())

__all__ = [
    "Array",
    "BatchBuilder",
    "Boolean",
    "CompactArray",
    "CompactBytes",
    "CompactString",
    "Connection",
    "Int8",
    "Int16",
    "Int32",
    "Int64",
    "KafkaError",
    "MemoryRecords",
    "RequestStruct",
    "Response",
    "Schema",
    "TaggedFields",
    "create_conn",
    "has_codec",
]
