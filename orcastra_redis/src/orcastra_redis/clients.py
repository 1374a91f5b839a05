"""Clients of the client library, as a URL wants them: without repeats of their own."""

from __future__ import annotations

import asyncio
import inspect
import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import hiredis
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import TimeoutError as NoAnswer

from orcastra_core.model.errors import InvalidOption
from orcastra_redis.credentials import AskedFor
from orcastra_redis.settings import Address, Settings

_QUIET: dict[str, Any] = {}
"""No maintenance notifications, where the library has them: a pool that takes them hands out connections that are closed."""

if "maint_notifications_config" in inspect.signature(Redis.__init__).parameters:
    from redis.maint_notifications import MaintNotificationsConfig

    _QUIET["maint_notifications_config"] = MaintNotificationsConfig(enabled=False)


class _Quick(AbstractConnection):
    """Commands packed by hiredis, and written without a task of their own.

    A batch of ours has hundreds of arguments, and joining them in Python took as long as all else. The library (8.1) puts each
    write into a task, a turn of the loop later: another call may have closed the connection by then.
    """

    def pack_command(self, *args: Any) -> list[bytes]:
        return [hiredis.pack_command(args)]

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:
        assert not isinstance(command, bytes | str)
        if not self.is_connected:
            await self.connect_check_health(check_health=False)
        writer = self._writer
        if writer is None:
            raise NoConnection("it was closed while it was made")
        try:
            writer.writelines(command)
            async with asyncio.timeout(self.socket_timeout):
                await writer.drain()
        except TimeoutError:
            await self.disconnect(nowait=True)
            raise NoAnswer("the server does not take what is written to it") from None
        except OSError as error:
            await self.disconnect(nowait=True)
            raise NoConnection(str(error)) from error
        except BaseException:  # half a command may be on its way
            await self.disconnect(nowait=True)
            raise


class _Plain(_Quick, Connection):
    pass


class _Secure(_Quick, SSLConnection):
    pass


class _Local(_Quick, UnixDomainSocketConnection):
    pass


_FASTER = {Connection: _Plain, SSLConnection: _Secure, UnixDomainSocketConnection: _Local}


def connect(settings: Settings, address: Address | None = None) -> Any:
    """Return a client of one server, by default of the first that the URL names. Opens nothing yet."""
    login: dict[str, Any] = {"db": settings.db}
    if settings.credentials is not None:
        login["credential_provider"] = AskedFor(
            settings.credentials, username=settings.username, timeout=settings.connect_timeout
        )
    else:
        login |= {"username": settings.username, "password": settings.password}
    if settings.path is not None:
        client = Redis(unix_socket_path=settings.path, **login, **_common(settings))
    else:
        host, port = address or settings.hosts[0]
        client = Redis(host=host, port=port, **login, **_tls(settings), **_common(settings))
    pool = client.connection_pool
    pool.connection_class = _FASTER[pool.connection_class]
    return client


def connect_sentinel(settings: Settings, address: Address) -> Any:
    """Return a client of a sentinel. Opens nothing yet."""
    login: dict[str, Any] = {"username": settings.sentinel_username, "password": settings.sentinel_password}
    return Redis(host=address[0], port=address[1], **login, **_tls(settings), **_common(settings))


def _common(settings: Settings) -> dict[str, Any]:
    # a silent repeat of a script would be a second hand-over
    return {
        "protocol": settings.protocol,
        "client_name": settings.client_name,
        "socket_timeout": settings.timeout,
        "socket_connect_timeout": settings.connect_timeout,
        "retry": Retry(NoBackoff(), 0),
        "health_check_interval": 0,
        **_QUIET,
    }


def check_files(settings: Settings) -> None:
    """Raise InvalidOption if a file of the TLS parameters cannot be used."""
    for name in ("tls_ca", "tls_cert", "tls_key"):
        path = getattr(settings, name)
        if path is not None and not Path(path).is_file():
            raise InvalidOption(f"{name}={path}: there is no such file")
    what = "tls_ca"
    try:
        context = ssl.create_default_context(cafile=settings.tls_ca)
        what = "tls_cert, tls_key"
        if settings.tls_cert is not None or settings.tls_key is not None:
            context.load_cert_chain(settings.tls_cert or "", settings.tls_key)
    except OSError as error:
        raise InvalidOption(f"{what}: not to be used: {error.strerror or error}") from error


def _tls(settings: Settings) -> dict[str, Any]:
    if not settings.tls:
        return {}
    return {
        "ssl": True,
        "ssl_ca_certs": settings.tls_ca,
        "ssl_certfile": settings.tls_cert,
        "ssl_keyfile": settings.tls_key,
        "ssl_check_hostname": settings.tls_check_hostname,
    }
