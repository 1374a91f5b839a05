"""From a URL to a broker, and what is said when there is none."""

from __future__ import annotations

import pytest

from orcastra_core.backends.memory import MemoryBroker
from orcastra_core.model.errors import BackendNotFound, BackendNotReady, InvalidOption, PluginNotFound
from orcastra_core.plugins import load, load_broker, survey
from orcastra_core.plugins.loader import BROKERS, GROUPS, SERIALIZERS


def test_installed_ones() -> None:
    assert isinstance(load_broker("memory://"), MemoryBroker)
    assert isinstance(load_broker("MEMORY://x?domain=y"), MemoryBroker)
    assert type(load_broker("sqlite:///x.db")).__name__ == "SqliteBroker"


@pytest.mark.parametrize(
    "url, says",
    [
        ("kafkaa://x", "pip install orcastra-kafkaa"),
        ("mem://", "did you mean memory://?"),
        ("sqlite3:///x.db", "did you mean sqlite://?"),
        ("pg://x", "did you mean postgresql://?"),
        ("amqp://x", "pip install orcastra-amqp"),
    ],
)
def test_an_unknown_scheme_says_what_is_there_and_what_to_do(url: str, says: str) -> None:
    with pytest.raises(BackendNotFound) as caught:
        load_broker(url)
    said = str(caught.value)
    assert f"no installed backend handles {url.partition(':')[0]}://" in said
    assert "memory://" in said
    assert "sqlite://" in said
    assert says in said


@pytest.mark.parametrize("url", ["redis://x", "postgresql://x", "kafka://x"])
def test_the_servers_are_found_or_say_what_to_install(url: str) -> None:
    """Their dists may or may not be installed, and may or may not have a broker yet."""
    said = ""
    try:
        load_broker(url)
    except (BackendNotReady, BackendNotFound) as error:
        said = str(error)
    assert not said or "pip install" in said or "release" in said


def test_an_unknown_parameter_names_the_nearest() -> None:
    with pytest.raises(InvalidOption, match=r"memory:// has no parameter 'event_max'; did you mean 'events_max'\?"):
        load_broker("memory://?event_max=1")
    with pytest.raises(InvalidOption, match="sqlite:// has no parameter 'zzz'; it has"):
        load_broker("sqlite:///x.db?zzz=1")


def test_what_is_no_url() -> None:
    with pytest.raises(InvalidOption, match="not a broker URL"):
        load_broker("memory")


def test_an_unknown_name_in_another_group() -> None:
    with pytest.raises(PluginNotFound, match=r"no 'xml' in orcastra\.serializers; installed: cbor, json"):
        load(SERIALIZERS, "xml")


@pytest.mark.parametrize("group", GROUPS)
def test_what_the_core_brings_loads(group: str) -> None:
    own = [plugin for plugin in survey(group, importing=True) if plugin.dist.startswith("orcastra-core")]
    assert {plugin.name: plugin.error for plugin in own if plugin.error} == {}
    if group == BROKERS:
        assert {plugin.name for plugin in own} == {"memory", "sqlite"}
