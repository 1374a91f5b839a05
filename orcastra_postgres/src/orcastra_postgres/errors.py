"""From the client library's errors to ours: the one edge."""

from __future__ import annotations

import asyncpg
from asyncpg import exceptions as raised

from orcastra_core.model.errors import (
    AuthenticationFailed,
    BrokerError,
    BrokerTimeout,
    BrokerUnavailable,
    InvalidOption,
    OrcastraError,
    StoreFull,
)

CLIENT_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
    EOFError,
)
"""What may come out of a call."""

_REFUSED = (
    raised.InvalidAuthorizationSpecificationError,
    raised.InvalidPasswordError,
    raised.InsufficientPrivilegeError,
)
_FULL = (raised.DiskFullError, raised.OutOfMemoryError)
_GONE = (
    raised.PostgresConnectionError,
    raised.AdminShutdownError,
    raised.CrashShutdownError,
    raised.CannotConnectNowError,
    raised.TooManyConnectionsError,
    raised.IdleInTransactionSessionTimeoutError,
    raised.IdleSessionTimeoutError,
    raised.ReadOnlySQLTransactionError,
    raised.TargetServerAttributeNotMatched,
)
_AGAIN = (
    raised.DeadlockDetectedError,
    raised.SerializationError,
    raised.LockNotAvailableError,
    raised.InsufficientResourcesError,
)
_ARGUMENTS = (raised.DataError, raised.ProgramLimitExceededError)


def translate(error: BaseException, where: str) -> OrcastraError:
    """Return our error for one of asyncpg's, or of the socket's."""
    if isinstance(error, OrcastraError):
        return error  # raised by our own code within a call
    text = f"{where}: {str(error) or type(error).__name__}"
    if isinstance(error, _REFUSED):
        return AuthenticationFailed(text)
    if isinstance(error, _FULL):
        return StoreFull(text)
    if isinstance(error, _GONE):
        return BrokerUnavailable(text)
    if isinstance(error, (raised.QueryCanceledError, TimeoutError)):
        return BrokerTimeout(text)
    if isinstance(error, _AGAIN):
        return BrokerError(text, retryable=True)
    if isinstance(error, _ARGUMENTS):
        return InvalidOption(text)
    if isinstance(error, asyncpg.PostgresError):
        return BrokerError(text)
    if isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError):
        return InvalidOption(text)  # asyncpg.exceptions.DataError, of an argument that cannot be sent
    return BrokerUnavailable(text)


def ends_connections(error: BaseException) -> bool:
    """Whether connections that were made before this error are of no use any more."""
    return isinstance(error, _GONE) or not isinstance(error, asyncpg.PostgresError | ValueError)
