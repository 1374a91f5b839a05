"""Which serializer reads what."""

from __future__ import annotations

from collections.abc import Iterable

from orcastra_core.interfaces.serializer import Serializer
from orcastra_core.model.errors import UnknownContentType


class SerializerRegistry:
    """Serializers by content type. Immutable once made; thread-safe.

    Args:
        serializers: Of two with one content type the first wins.
    """

    def __init__(self, serializers: Iterable[Serializer]) -> None:
        self._by_type: dict[str, Serializer] = {}
        for serializer in serializers:
            self._by_type.setdefault(serializer.content_type, serializer)

    def __call__(self, content_type: str) -> Serializer:
        """Return the serializer for ``content_type``.

        Raises:
            UnknownContentType: None of them writes it; the message has those that are known.
        """
        try:
            return self._by_type[content_type]
        except KeyError:
            known = ", ".join(sorted(self._by_type)) or "none"
            raise UnknownContentType(
                f"no serializer for content type {content_type!r} (known: {known}); install the dist that offers it"
            ) from None
