"""What a person can do about an error that kept a broker from opening: most of them are slips in its URL."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

from aiokafka.errors import KafkaConnectionError

from orcastra_core.model.errors import AuthenticationFailed, BrokerError, BrokerUnavailable
from orcastra_kafka.settings import Settings

_CLOSED = (KafkaConnectionError, ConnectionResetError, EOFError)
"""What a broker answers that understands something else at its port."""
_OTHER_NAME = (62, 64)
"""OpenSSL: the certificate is another host's, another address's."""


def advised(error: BrokerError, settings: Settings) -> BrokerError:
    """Return the error with what to do about it, if there is something to say."""
    advice = _advice(error, settings)
    if not advice:
        return error
    text = f"{error}; {advice}"
    told = type(error)(text) if isinstance(error, AuthenticationFailed) else BrokerUnavailable(text)
    told.__cause__ = error.__cause__
    return told


def _advice(error: BrokerError, settings: Settings) -> str:
    tls, sasl = settings.security_protocol.endswith("SSL"), settings.security_protocol.startswith("SASL")
    for behind in _behind(error):
        if isinstance(behind, ssl.SSLCertVerificationError):
            if behind.verify_code in _OTHER_NAME:
                return "call the host what the certificate calls it, or say tls_check_hostname=0"
            return "tls_ca=<file> names the authority to trust"
        if isinstance(behind, ssl.SSLError):
            return "does it speak TLS at this port? Does it want a certificate of ours (tls_cert=, tls_key=)?"
        if isinstance(behind, ConnectionRefusedError):
            return "does a broker run, and listen there?"
        if isinstance(behind, socket.gaierror):
            return "is the host's name right?"
    if isinstance(error, AuthenticationFailed) and sasl:
        return f"are user and password in the URL right, percent-encoded, and known for sasl_mechanism={settings.sasl_mechanism}?"
    if not (tls and sasl) and any(isinstance(one, _CLOSED) for one in _behind(error)):
        wanted = [*([] if sasl else ["a login"]), *([] if tls else ["TLS"])]
        return f"does it want {' or '.join(wanted)} at this port? security_protocol= says so: it is {settings.security_protocol} now"
    if tls and any(isinstance(one, _CLOSED) for one in _behind(error)):
        return "does it speak TLS at this port? security_protocol= says so"
    return ""


def _behind(error: BaseException) -> Iterator[BaseException]:
    """Give what an error was raised from, as far back as it goes."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__
