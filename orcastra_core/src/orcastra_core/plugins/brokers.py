"""From a URL to its broker."""

from __future__ import annotations

import difflib

from orcastra_core.interfaces.broker import Broker
from orcastra_core.model.broker_url import BrokerUrl
from orcastra_core.model.errors import BackendNotFound, PluginLoadFailed, PluginNotFound
from orcastra_core.plugins.loader import BROKERS, load, survey

# schemes of our own dists, and the spellings people try first
_EXTRAS = {
    "redis": "redis",
    "rediss": "redis",
    "unix": "redis",
    "kafka": "kafka",
    "postgresql": "postgres",
    "postgres": "postgres",
}
_MEANT = {
    "mem": "memory",
    "inmemory": "memory",
    "sqlite3": "sqlite",
    "file": "sqlite",
    "pg": "postgresql",
    "psql": "postgresql",
}


def load_broker(url: BrokerUrl | str) -> Broker:
    """Return the unopened broker that a URL names.

    Raises:
        InvalidOption: It is no URL, or has a parameter that the backend does not know.
        BackendNotFound: No installed backend has that scheme; says what to install.
        AmbiguousPlugin, PluginLoadFailed, BackendNotReady: As they say.
    """
    parsed = BrokerUrl.parse(url) if isinstance(url, str) else url
    try:
        factory = load(BROKERS, parsed.scheme)
    except PluginNotFound:
        raise BackendNotFound(_missing(parsed.scheme)) from None
    broker = factory(parsed)
    if not isinstance(broker, Broker):
        raise PluginLoadFailed(f"the backend of {parsed.scheme}:// made a {type(broker).__name__}, which is no Broker")
    return broker


def _missing(scheme: str) -> str:
    installed = ", ".join(f"{plugin.name}://" for plugin in survey(BROKERS))
    message = f"no installed backend handles {scheme}:// (installed: {installed or 'none'})"
    if scheme in _EXTRAS:
        return f"{message}; pip install 'orcastra[{_EXTRAS[scheme]}]'"
    if scheme in _MEANT:
        return f"{message}; did you mean {_MEANT[scheme]}://?"
    known = [plugin.name for plugin in survey(BROKERS)] + list(_EXTRAS)
    near = difflib.get_close_matches(scheme, known, n=1, cutoff=0.7)
    meant = f"did you mean {near[0]}://? " if near else ""
    return f"{message}; {meant}if a dist offers it, pip install that dist, for example: pip install orcastra-{scheme}"
