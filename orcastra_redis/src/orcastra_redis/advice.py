"""What a person can do about an error that kept a broker from opening: most of them are slips in its URL."""

from __future__ import annotations

import socket
import ssl

from redis import exceptions as raised

from orcastra_core.model.errors import BrokerError, BrokerUnavailable
from orcastra_redis.errors import os_error
from orcastra_redis.settings import Settings

_OTHER_NAME = (62, 64)
"""OpenSSL: the certificate is another host's, another address's."""


def advised(error: BrokerError, settings: Settings) -> BrokerError:
    """Return the error with what to do about it, if there is something to say; BrokerUnavailable if a repeat may succeed."""
    advice = _of_connection(error, settings) or _of_answer(error, settings)
    text = f"{error}; {advice}" if advice else str(error)
    if error.retryable:
        return BrokerUnavailable(text)
    return type(error)(text)


def _of_connection(error: BrokerError, settings: Settings) -> str:
    behind = os_error(error.__cause__)
    if isinstance(behind, ssl.SSLCertVerificationError):
        if behind.verify_code in _OTHER_NAME:
            return "call the host what the certificate calls it, or say tls_check_hostname=0"
        return "tls_ca=<file> names the authority to trust"
    if isinstance(behind, ssl.SSLError):
        return "does it speak TLS at this port? Else write redis://"
    if isinstance(behind, ConnectionRefusedError | FileNotFoundError):
        return "does the server run, and listen there?"
    if isinstance(behind, socket.gaierror):
        return "is the host's name right?"
    if not settings.tls and (isinstance(behind, ConnectionResetError) or "closed by server" in str(error)):
        return "does it want TLS at this port? Then write rediss://"
    if settings.tls and isinstance(behind, TimeoutError):
        return "does it speak TLS at this port? Else write redis://"
    return ""


def _of_answer(error: BrokerError, settings: Settings) -> str:
    cause, text = error.__cause__, str(error)
    if settings.sentinel is not None and isinstance(cause, raised.AuthenticationError):
        return "sentinel_username and sentinel_password are for the sentinels, redis://user:password@ for the servers"
    if "Authentication required" in text:
        return "put a login into the URL: redis://user:password@host, or redis://:password@host"
    if isinstance(cause, raised.NoPermissionError):
        return "the guide «Run on Redis» lists what its user has to be allowed"
    if isinstance(cause, raised.AuthenticationError):
        if settings.credentials is None:
            return "are user and password in the URL right, and percent-encoded?"
        return "" if "no credentials" in text else "the server does not accept what credentials= gave"
    if isinstance(cause, raised.ClusterDownError):
        return "is the cluster whole? redis-cli cluster info tells"
    if "DB index is out of range" in text:
        return f"it has no database {settings.db}; database 0 is always there"
    if "not allowed in cluster mode" in text:
        return "it is a node of a cluster: add cluster=1 to the URL, and name no database"
    if "unknown command" in text and "SENTINEL" in text:
        return f"it is no sentinel: leave sentinel={settings.sentinel} out of the URL, or name the sentinels' port"
    if "Protocol error" in text:
        return "is that a Redis server?"
    return ""
