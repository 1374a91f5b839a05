"""A broker's URL: what it names, and its parameters checked by name.

``scheme://user:password@host:port,host2:port2/path?domain=shop&lease=10``.
``domain`` and ``lease`` mean the same for every broker; all other parameters
are the backend's, which asks for them by name and thereby refuses the rest.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl, unquote

import attrs

from orcastra_core.model.errors import InvalidOption
from orcastra_core.model.names import DomainName, domain_name

DEFAULT_DOMAIN = DomainName("orcastra")
DEFAULT_LEASE = 10.0

_SHAPE = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?:(?P<login>[^@/?]*)@)?(?P<hosts>[^/?]*)(?P<path>/[^?]*)?(?:\?(?P<query>.*))?\Z"
)
_SECRET_NAMES = ("pass", "pwd", "secret", "token", "key", "credential")


def flag(text: str) -> bool:
    """Read a yes-or-no parameter. Raises ValueError."""
    try:
        return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[text.lower()]
    except KeyError:
        raise ValueError("expected 1 or 0") from None


def seconds(text: str) -> float:
    """Read a parameter in seconds, more than 0. Raises ValueError."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError("expected seconds, more than 0")
    return value


@attrs.frozen(repr=False)
class BrokerUrl:
    """A parsed broker URL. Its ``str`` and ``repr`` never show a secret.

    Attributes:
        scheme: Lower case; names the backend.
        hosts: ``host`` or ``host:port`` texts, possibly none.
        path: What follows the hosts, with its leading slash, percent-decoded.
        username: If given.
        password: If given.
        domain: The unit of isolation; two domains on one server never meet.
        lease: Seconds of silence after which a session counts as lapsed.
        params: The backend's own parameters, unchecked.
        raw: The whole URL as it was given, secrets included.
    """

    scheme: str
    hosts: tuple[str, ...] = ()
    path: str = ""
    username: str | None = None
    password: str | None = None
    domain: DomainName = DEFAULT_DOMAIN
    lease: float = DEFAULT_LEASE
    params: Mapping[str, str] = MappingProxyType({})
    raw: str = ""

    @classmethod
    def parse(cls, text: object) -> BrokerUrl:
        """Parse a URL.

        Raises:
            InvalidOption: It is no URL, repeats a parameter, or ``domain`` or ``lease`` is bad.
        """
        match = _SHAPE.match(text) if isinstance(text, str) else None
        if match is None or not isinstance(text, str):
            shown = (
                repr(re.sub(r".*@", "***@", text, flags=re.DOTALL)) if isinstance(text, str) else type(text).__name__
            )
            raise InvalidOption(f"{shown} is not a broker URL; expected for example sqlite:///orcastra.db or memory://")
        if "@" in match["hosts"] or (match["login"] is None and ":" in match["hosts"] and "@" in text):
            raise InvalidOption(
                f"broker URL {match['scheme']}://***: its login holds one of @ / ?: percent-encode it, for example %40"
            )
        pairs = parse_qsl(match["query"] or "", keep_blank_values=True)
        params = dict(pairs)
        if len(params) != len(pairs):
            twice = next(name for name, _ in pairs if sum(other == name for other, _ in pairs) > 1)
            raise InvalidOption(f"broker URL: the parameter {twice!r} is given twice")
        login, _, password = (match["login"] or "").partition(":")
        return cls(
            scheme=match["scheme"].lower(),
            hosts=tuple(unquote(host) for host in match["hosts"].split(",") if host),
            path=unquote(match["path"] or ""),
            username=unquote(login) or None,
            password=unquote(password) or None,
            domain=_read("domain", params.pop("domain", DEFAULT_DOMAIN), domain_name),
            lease=_read("lease", params.pop("lease", str(DEFAULT_LEASE)), seconds),
            params=MappingProxyType(params),
            raw=text,
        )

    def options(self, known: Mapping[str, Callable[[str], Any]]) -> dict[str, Any]:
        """Return the backend's parameters, each read by its reader.

        Args:
            known: A reader for every parameter the backend has; it raises
                ValueError for a bad text.

        Raises:
            InvalidOption: An unknown parameter, naming the nearest known one, or a bad value.
        """
        read: dict[str, Any] = {}
        for name, text in self.params.items():
            if name not in known:
                names = sorted([*known, "domain", "lease"])
                near = difflib.get_close_matches(name, names, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(names)}"
                raise InvalidOption(f"{self.scheme}:// has no parameter {name!r}{hint}")
            read[name] = _read(name, text, known[name])
        return read

    def __str__(self) -> str:
        login = f"{self.username or ''}{':***' if self.password else ''}@" if self.username or self.password else ""
        shown = {name: "***" if _secret(name, text) else text for name, text in self.params.items()}
        if self.domain != DEFAULT_DOMAIN:
            shown["domain"] = self.domain
        if self.lease != DEFAULT_LEASE:
            shown["lease"] = f"{self.lease:g}"
        query = "&".join(f"{name}={text}" for name, text in shown.items())
        return f"{self.scheme}://{login}{','.join(self.hosts)}{self.path}" + (f"?{query}" if query else "")

    def __repr__(self) -> str:
        return f"BrokerUrl({str(self)!r})"


def _secret(name: str, text: str) -> bool:
    """Whether a parameter may hold a secret: by its name, or because it is a URL itself, with a login."""
    return any(word in name.lower() for word in _SECRET_NAMES) or "@" in text or "password=" in text


def _read(name: str, text: str, reader: Callable[[str], Any]) -> Any:
    try:
        return reader(text)
    except ValueError as error:
        shown = "'***': bad value" if _secret(name, text) else f"{text!r}: {error}"
        raise InvalidOption(f"broker URL: {name}={shown}") from None
