"""Exceptions as they are recorded."""

from __future__ import annotations

import traceback

from orcastra_core.model.result import ErrorInfo

_TRACEBACK_LIMIT = 16_384


class RemoteFailure(Exception):
    """Carries what another process raised, as it was recorded there."""

    def __init__(self, info: ErrorInfo) -> None:
        super().__init__(info)
        self.info = info

    def __str__(self) -> str:
        return f"{self.info.type}: {self.info.message}"


def text_of(error: BaseException) -> str:
    """Return an exception's text, whatever its ``__str__`` does."""
    try:
        return str(error)
    except BaseException as broken:  # noqa: BLE001 - a user's __str__ may raise anything
        return f"<its __str__ raised {type(broken).__name__}>"


def describe(error: BaseException, *, retryable: bool = False) -> ErrorInfo:
    """Return an exception as it is recorded: qualified type, text, bounded traceback."""
    cls = type(error)
    name = cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    message = text_of(error)
    # the first frame is ours, the caller's business begins behind it
    frames = error.__traceback__.tb_next if error.__traceback__ is not None else None
    text = "".join(traceback.format_exception(cls, error, frames))
    if len(text) > _TRACEBACK_LIMIT:
        half = _TRACEBACK_LIMIT // 2
        text = f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"
    return ErrorInfo(name, message[:_TRACEBACK_LIMIT], text, retryable)
