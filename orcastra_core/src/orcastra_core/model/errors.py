"""Every error that Orcastra raises, in one tree.

::

    OrcastraError
    ├── UsageError                  the caller's mistake; nothing was stored
    │   ├── InvalidName             (ValueError)  a queue, task or domain name
    │   ├── InvalidArguments        (TypeError)   a task's arguments do not fit its signature
    │   ├── InvalidOption           (ValueError)  an option or a URL parameter
    │   ├── BodyTooLarge            (ValueError)  more bytes than Limits.max_body
    │   ├── Unsupported             this broker does not offer that Cap
    │   └── WrongLoop               (RuntimeError) used from another event loop or after fork
    ├── BrokerError                 the store; see ``retryable``
    │   ├── BrokerUnavailable       (ConnectionError) retryable
    │   ├── BrokerTimeout           (TimeoutError)    retryable
    │   ├── StoreFull               retryable, once somebody made room
    │   ├── BrokerClosed            used after close(), or not opened
    │   ├── AuthenticationFailed
    │   ├── ContractMismatch        the store's layout or contract is newer than this code
    │   ├── SessionFenced           the session was reaped; open a new one
    │   └── TransactionRolledBack   a settling transaction did not commit: rows and settlement are gone
    ├── CodecError                  (ValueError)
    │   ├── SerializationError      a value that cannot be written
    │   ├── DeserializationError    bytes that cannot be read
    │   └── UnknownContentType      no serializer for that content type is installed
    ├── PluginError
    │   ├── BackendNotFound         nobody installed handles that URL scheme
    │   ├── BackendNotReady         installed, but this release has no code for it
    │   ├── PluginNotFound
    │   ├── AmbiguousPlugin         two dists claim one name
    │   └── PluginLoadFailed        its import raised; see ``__cause__``
    ├── PublishError                a submit that was not stored
    │   ├── PublishRefused          the broker said why; a repeat gets the same answer
    │   └── PublishUnknown          no answer came; a repeat with the same id is harmless
    ├── TaskProcessDied             (RuntimeError) a task with isolation="process" lost its process
    └── ResultError                 what waiting for a result ends with
        ├── TaskFailed              the task raised; carries the remote traceback
        │   └── TaskTimeout         it ran longer than its timeout
        ├── TaskCancelled
        ├── ResultTimeout           (TimeoutError) not finished yet
        ├── ResultExpired           finished, but its result is gone
        └── TaskUnknown             (LookupError) never stored here, or long forgotten

Expected outcomes (STALE, Duplicate) are values, not exceptions. A backend translates its client's
exceptions at one edge, keeps ``__cause__`` and sets ``retryable``; nothing outside this tree leaves it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orcastra_core.model.profile import Cap
    from orcastra_core.model.result import ErrorInfo


class OrcastraError(Exception):
    """The root: ``except OrcastraError`` catches all that Orcastra raises."""


class UsageError(OrcastraError):
    """The caller's mistake. Nothing was stored and nothing changed."""


class InvalidName(UsageError, ValueError):
    """A queue, task or domain name that the model does not admit."""


class InvalidArguments(UsageError, TypeError):
    """A task's arguments do not fit its signature or its annotations."""


class InvalidOption(UsageError, ValueError):
    """An option of a task, a submit or a URL with a value out of its range."""


class BodyTooLarge(UsageError, ValueError):
    """The encoded arguments or result exceed ``Limits.max_body``."""


class Unsupported(UsageError):
    """The broker does not offer a capability. Raised before any side effect.

    Attributes:
        cap: The capability that was missing, or None for more than one.
    """

    def __init__(self, cap: Cap, message: str | None = None) -> None:
        super().__init__(message or f"this broker does not offer {cap.name}: {cap.value}")
        self.cap: Cap = cap

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.cap, str(self))


class WrongLoop(UsageError, RuntimeError):
    """An app or broker was used from a second event loop or after a fork."""


class BrokerError(OrcastraError):
    """Something between us and the store, or in the store, went wrong.

    Attributes:
        retryable: Whether the same call may succeed later. A class default
            that an instance may override.
    """

    retryable: bool = False

    def __init__(self, message: str, *, retryable: bool | None = None) -> None:
        super().__init__(message)
        if retryable is not None:
            self.retryable = retryable


class BrokerUnavailable(BrokerError, ConnectionError):
    """The store could not be reached, or went away during the call."""

    retryable = True


class BrokerTimeout(BrokerError, TimeoutError):
    """The store did not answer in time; what it did is not known."""

    retryable = True


class StoreFull(BrokerError):
    """The store has no room (disk, memory limit). Nothing was written."""

    retryable = True


class BrokerClosed(BrokerError):
    """The broker or session was closed, or never opened."""


class AuthenticationFailed(BrokerError):
    """The store refused our credentials."""


class ContractMismatch(BrokerError):
    """The store was written by a newer contract or layout than this code knows."""


class SessionFenced(BrokerError):
    """The session was reaped: its deliveries belong to others now."""


class TransactionRolledBack(BrokerError):
    """A settling transaction did not commit: none of its rows is there, and the delivery is still held."""


class CodecError(OrcastraError, ValueError):
    """Bytes and values that do not fit together."""


class SerializationError(CodecError):
    """A value that the serializer cannot write."""


class DeserializationError(CodecError):
    """Bytes that the serializer cannot, or will not, read."""


class UnknownContentType(CodecError):
    """No installed serializer handles this content type."""


class PluginError(OrcastraError):
    """Discovery of an extension failed."""


class BackendNotFound(PluginError):
    """No installed backend handles the URL's scheme."""


class BackendNotReady(PluginError):
    """The backend is installed, but this release of it has no broker yet."""


class PluginNotFound(PluginError):
    """No installed plugin has that name."""


class AmbiguousPlugin(PluginError):
    """More than one installed dist offers the same name."""


class PluginLoadFailed(PluginError):
    """The plugin's import raised; ``__cause__`` has the original."""


class PublishError(OrcastraError):
    """A submit that is not known to be stored."""


class PublishRefused(PublishError):
    """The broker refused the envelope and said why; nothing was stored."""


class PublishUnknown(PublishError):
    """No answer came: the envelope may or may not be stored.

    Submitting again may run the task twice; the client has already repeated
    the same id as long as its patience lasted.
    """


class TaskProcessDied(OrcastraError, RuntimeError):
    """The process of a task with ``isolation="process"`` ended without an answer: a segfault, an OOM kill, ``os._exit``."""


class ResultError(OrcastraError):
    """Waiting for a task ended without its value."""


class TaskFailed(ResultError):
    """The task failed for good.

    Attributes:
        error: Type, message and traceback as the worker recorded them.
    """

    error: ErrorInfo

    def __init__(self, error: ErrorInfo) -> None:
        super().__init__(f"{error.type}: {error.message}" if error.message else error.type)
        self.error = error

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.error,)

    def __str__(self) -> str:
        summary = super().__str__()
        return f"{summary}\n\nRemote traceback:\n{self.error.traceback}" if self.error.traceback else summary


class TaskTimeout(TaskFailed):
    """The task's last attempt ran longer than its timeout."""


class TaskCancelled(ResultError):
    """The task was cancelled before it finished."""


class ResultTimeout(ResultError, TimeoutError):
    """The task had not finished when ``wait(timeout=)`` ended."""


class ResultExpired(ResultError):
    """The task finished, but its result outlived its TTL."""


class TaskUnknown(ResultError, LookupError):
    """The store knows no such task."""


class Steer(Exception):  # noqa: N818 - raised by a task to say what should happen, not an error
    """What a task raises to steer its own outcome. Not an OrcastraError."""


def _delay(name: str, after: object) -> float:
    if isinstance(after, bool) or not isinstance(after, (int, float)) or not math.isfinite(after):
        raise InvalidOption(f"{name}({after!r}): expected seconds")
    return max(0.0, float(after))


class RetryLater(Steer):
    """This attempt failed; try again ``after`` seconds, whatever the policy's delay says.

    ``max_attempts`` and ``max_elapsed`` still hold. Less than 0 is 0; InvalidOption for what are no seconds.
    """

    def __init__(self, after: float = 0.0, reason: str = "") -> None:
        self.after: float = _delay("RetryLater", after)
        super().__init__(reason or f"retry after {after:g} s")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.after, str(self))


class GiveUp(Steer):
    """Stop trying: the task goes to the dead letters with this reason."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason or "the task gave up")
        self.reason: str = reason or "the task gave up"


class Snooze(Steer):
    """Not now: hand the task back for ``after`` seconds without counting an attempt."""

    def __init__(self, after: float) -> None:
        self.after: float = _delay("Snooze", after)
        super().__init__(f"snoozed for {after:g} s")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.after,)
