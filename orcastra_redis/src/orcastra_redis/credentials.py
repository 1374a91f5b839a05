"""Logins that an application's function gives, asked for anew with each connection: tokens that expire, secrets that rotate."""

from __future__ import annotations

import asyncio
import importlib
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from redis.credentials import CredentialProvider
from redis.exceptions import AuthenticationError
from redis.exceptions import ConnectionError as NoConnection

Login: TypeAlias = str | tuple[str, str]
"""A password, or a user's name and a password."""
Credentials: TypeAlias = Callable[[], Login | Awaitable[Login]]


def credentials_of(text: str) -> Credentials:
    """Import what ``module:function`` names. Raises ValueError with what is wrong."""
    module, colon, name = text.partition(":")
    if not (module and colon and name.isidentifier()):
        raise ValueError("expected module:function")
    try:
        found = getattr(importlib.import_module(module), name)
    except AttributeError:
        raise ValueError(f"{module} has no {name!r}") from None
    except Exception as error:  # noqa: BLE001 - its import may raise anything
        raise ValueError(f"its import failed: {type(error).__name__}: {error}") from error
    if not callable(found):
        raise ValueError("that is no function")
    function: Credentials = found
    return function


class AskedFor(CredentialProvider):
    """Asks for a login with each new connection.

    Args:
        credentials: Called without arguments, in whatever event loop connects, the beat's thread among them; a coroutine
            function is awaited. An OSError or TimeoutError of it counts as an outage, anything else as a refusal.
        username: Who to be, where it gives a password only.
        timeout: Seconds it may take.
    """

    def __init__(self, credentials: Credentials, *, username: str | None, timeout: float) -> None:
        self._credentials = credentials
        self._username = username
        self._timeout = timeout

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        try:
            async with asyncio.timeout(self._timeout):
                answer: Any = self._credentials()
                if inspect.isawaitable(answer):
                    answer = await answer
        except OSError as error:  # TimeoutError is one
            raise NoConnection(f"no credentials: {str(error) or type(error).__name__}") from error
        except Exception as error:
            raise AuthenticationError(f"no credentials: {type(error).__name__}: {error}") from error
        match answer:
            case (str(name), str(password)):
                return name, password
            case str() if self._username is not None:
                return self._username, answer
            case str():
                return (answer,)
        raise AuthenticationError(
            f"no credentials: expected a password, or a name and a password, and got a {type(answer).__name__}"
        )
