"""From the client library's errors to ours: the one edge."""

from __future__ import annotations

import os
import re
import ssl

from redis import exceptions as raised

from orcastra_core.model.errors import (
    AuthenticationFailed,
    BrokerError,
    BrokerTimeout,
    BrokerUnavailable,
    StoreFull,
)

_AGAIN = ("LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS", "UNBLOCKED", "BUSY", "MISCONF")
"""Answers of a server that is not itself just now. Nothing took effect."""


def translate(error: BaseException, where: str) -> BrokerError:
    """Return our error for one of redis-py's, or of the socket's."""
    text = f"{where}: {_said(error, where)}"
    if isinstance(error, raised.AuthenticationError | raised.AuthorizationError | raised.NoPermissionError):
        return AuthenticationFailed(text)
    if isinstance(error, raised.OutOfMemoryError):
        return StoreFull(f"{text}; free memory or raise maxmemory")
    if isinstance(error, raised.TimeoutError | TimeoutError):
        return BrokerTimeout(text)
    if isinstance(error, raised.ConnectionError | raised.ClusterDownError | raised.MasterDownError | OSError):
        return BrokerUnavailable(text)
    if isinstance(error, raised.MovedError):
        return BrokerError(f"{text}; this is a node of a cluster: add cluster=1 to the URL")
    if isinstance(error, raised.AskError | raised.TryAgainError):
        return BrokerUnavailable(f"{where}: the domain's slot is being moved to another node")
    if isinstance(error, raised.ResponseError):
        if "OOM" in str(error)[:200]:
            return StoreFull(f"{text}; free memory or raise maxmemory")
        if any(word in str(error)[:200] for word in _AGAIN) or isinstance(error, raised.ReadOnlyError):
            return BrokerUnavailable(text)
    return BrokerError(text)


def os_error(error: BaseException | None) -> OSError | None:
    """Return the operating system's error behind one of redis-py's, if there is one."""
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__ or error.__context__
    return error


def _said(error: BaseException, where: str) -> str:
    text = str(error) or type(error).__name__
    behind = os_error(error)
    if behind is not None and isinstance(error, raised.ConnectionError):
        named = re.search(r" (?:connecting to|reading from|writing to) (\S+?)\.? ", text)
        if isinstance(behind, ssl.SSLCertVerificationError):
            text = f"its certificate is not accepted: {behind.verify_message}"
        elif behind.errno is not None and behind.errno > 0 and not isinstance(behind, ssl.SSLError):
            text = os.strerror(behind.errno)
        elif behind.strerror:
            text = behind.strerror
        if named is not None and where != f"redis at {named[1]}":  # one of several
            text = f"{named[1]}: {text}"
    elif text.startswith("HELLO must be called with the client already authenticated"):
        text = "Authentication required."
    return text.removesuffix(".")


CLIENT_ERRORS = (raised.RedisError, OSError, TimeoutError)
"""What may come out of a call."""
