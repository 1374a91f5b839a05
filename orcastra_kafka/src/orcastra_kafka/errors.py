"""From Kafka's errors to ours: the one edge."""

from __future__ import annotations

import os
import ssl

from aiokafka import errors as raised

from orcastra_core.model.errors import (
    AuthenticationFailed,
    BrokerError,
    BrokerTimeout,
    BrokerUnavailable,
    StoreFull,
    Unsupported,
)
from orcastra_core.model.profile import Cap
from orcastra_kafka.share.errors import COORDINATOR_MOVED, DENIED, LEADER_MOVED, SESSION_LOST, KafkaCode, ShareError

CLIENT_ERRORS = (raised.KafkaError, OSError, TimeoutError, EOFError)
"""What may come out of a call."""

_AGAIN: frozenset[int] = (
    COORDINATOR_MOVED
    | LEADER_MOVED
    | SESSION_LOST
    | {KafkaCode.NETWORK_EXCEPTION, KafkaCode.NOT_CONTROLLER, 8, 19, 20, 51, 60, 89}
)
"""Answers of a cluster that is not itself just now: too few replicas, elections, quotas."""


def translate(error: BaseException, where: str) -> BrokerError:
    """Return our error for one of the client's, of the protocol's or of the socket's."""
    if isinstance(error, BrokerError):
        return error
    text = f"{where}: {_said(error)}"
    code = getattr(error, "code", getattr(error, "errno", None))
    if code in DENIED or isinstance(
        error,
        raised.SaslAuthenticationFailed | raised.UnsupportedSaslMechanismError | raised.IllegalSaslStateError,
    ):
        translated: BrokerError = AuthenticationFailed(text)
    elif isinstance(error, TimeoutError | raised.RequestTimedOutError | raised.KafkaTimeoutError) or code == 7:
        translated = BrokerTimeout(text)
    elif isinstance(error, ShareError):
        if code == KafkaCode.KAFKA_STORAGE_ERROR:
            translated = StoreFull(text)
        elif code in _AGAIN:
            translated = BrokerUnavailable(text)
        else:
            translated = BrokerError(text)
    elif isinstance(error, OSError | EOFError | raised.KafkaConnectionError) or code in _AGAIN:
        translated = BrokerUnavailable(text)
    else:
        translated = BrokerError(text, retryable=bool(getattr(error, "retriable", False)))
    translated.__cause__ = error
    return translated


def unsupported(cap: Cap, why: str) -> Unsupported:
    """Return the refusal of what neither lane offers, and why."""
    return Unsupported(cap, f"kafka does not offer {cap.name} ({cap.value}): {why}")


def _said(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}".removesuffix(".")
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {(error.reason or str(error)).replace('_', ' ').lower()}"
    if isinstance(error, TimeoutError) and not str(error):
        return "no answer in time"
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return (str(error) or type(error).__name__).removesuffix(".")
