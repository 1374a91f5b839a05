"""How a message is laid out: aiokafka's schemas, the types it lacks, and the typed messages on top.

Every message here is of a flexible version: compact lengths, and tagged fields at the end of each structure, of
which we write none (aiokafka would write them without their lengths) and skip those that come.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any, ClassVar, Generic, TypeVar

from orcastra_kafka.share.errors import VersionNotOffered
from orcastra_kafka.share.private import (
    CompactArray,
    CompactString,
    Int8,
    RequestStruct,
    Response,
    Schema,
    TaggedFields,
)

T = TypeVar("T")

TEXT = CompactString("utf-8")
TAGS = ("tags", TaggedFields)
NO_TAGS: dict[int, bytes] = {}
NO_ID = bytes(16)


class Uuid(Int8):  # type: ignore[misc]  # aiokafka has no types
    """Sixteen bytes as they are. Derives from a primitive because arrays of aiokafka's admit only those."""

    @classmethod
    def encode(cls, value: Any) -> bytes:
        return bytes(value)

    @classmethod
    def decode(cls, data: BytesIO) -> Any:
        return data.read(16)


class NullableStruct(Schema):  # type: ignore[misc]  # the same
    """A structure behind a byte that says whether it is there: -1 for null, 1 otherwise."""

    def encode(self, item: Any) -> bytes:
        return b"\xff" if item is None else b"\x01" + super().encode(item)

    def decode(self, data: BytesIO) -> Any:
        return None if Int8.decode(data) < 0 else super().decode(data)


def array(*fields: tuple[str, Any]) -> CompactArray:
    """Return an array of structures, each with its tagged fields."""
    return CompactArray(*fields, TAGS)


class Request(Generic[T]):
    """A request of one version; subclasses say its layout, its fields and how its answer is read.

    Stands in for aiokafka's own builder: a connection calls ``prepare`` with what its server offers.
    """

    key: ClassVar[int]
    version: ClassVar[int]
    layout: ClassVar[tuple[tuple[str, Any], ...]]
    answer: ClassVar[tuple[tuple[str, Any], ...]]
    _struct: ClassVar[type[RequestStruct]]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        common = {"API_KEY": cls.key, "API_VERSION": cls.version}
        response = type(f"{cls.__name__}Response", (Response,), {**common, "SCHEMA": Schema(*cls.answer, TAGS)})
        cls._struct = type(
            f"{cls.__name__}Request",
            (RequestStruct,),
            {**common, "FLEXIBLE_VERSION": True, "RESPONSE_TYPE": response, "SCHEMA": Schema(*cls.layout, TAGS)},
        )

    def fields(self) -> tuple[Any, ...]:
        """Return the values of ``layout``, in its order."""
        raise NotImplementedError

    @classmethod
    def read(cls, said: Any) -> T:
        """Return the typed answer for what the schema decoded."""
        raise NotImplementedError

    def prepare(self, versions: dict[int, tuple[int, int]]) -> RequestStruct:
        """Return what a connection sends. Raises VersionNotOffered."""
        least, most = versions.get(self.key, (0, -1))
        if not least <= self.version <= most:
            raise VersionNotOffered(type(self).__name__, self.key, self.version, least, most)
        return self._struct(*self.fields(), NO_TAGS)

    def encode(self) -> bytes:
        """Return the body's bytes, without a header."""
        return bytes(self._struct(*self.fields(), NO_TAGS).encode())

    @classmethod
    def decode(cls, body: bytes) -> T:
        """Read the body of an answer."""
        return cls.read(cls._struct.RESPONSE_TYPE.decode(body))
