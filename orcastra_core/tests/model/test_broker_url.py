"""Broker URLs: what they name, what they hide, what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from orcastra_core.model.broker_url import BrokerUrl, flag, seconds
from orcastra_core.model.errors import InvalidOption


def test_all_parts() -> None:
    url = BrokerUrl.parse("Redis://us%3Aer:p%40ss@one:6379,two:6380/3?domain=shop&lease=2.5&ssl=1")
    assert url.scheme == "redis"
    assert url.hosts == ("one:6379", "two:6380")
    assert url.path == "/3"
    assert (url.username, url.password) == ("us:er", "p@ss")
    assert url.domain == "shop"
    assert url.lease == 2.5
    assert dict(url.params) == {"ssl": "1"}


@pytest.mark.parametrize(
    "text, hosts, path",
    [
        ("memory://", (), ""),
        ("memory://name", ("name",), ""),
        ("sqlite:///relative.db", (), "/relative.db"),
        ("sqlite:////var/lib/a%20b.db", (), "//var/lib/a b.db"),
        ("redis://[::1]:6379/0", ("[::1]:6379",), "/0"),
        ("sqlite:///home/me@work/x.db", (), "/home/me@work/x.db"),
    ],
)
def test_hosts_and_path(text: str, hosts: tuple[str, ...], path: str) -> None:
    url = BrokerUrl.parse(text)
    assert (url.hosts, url.path) == (hosts, path)
    assert (url.domain, url.lease) == ("orcastra", 10.0)


@pytest.mark.parametrize("text", ["", "memory", "memory:", "memory:/x", "://x", "1x://", None, 5, b"memory://"])
def test_what_is_no_url(text: object) -> None:
    with pytest.raises(InvalidOption, match=r"not a broker URL; expected for example sqlite:///orcastra\.db"):
        BrokerUrl.parse(text)


SECRET = "hunter2"


@pytest.mark.parametrize(
    "text",
    [
        f"redis://user:{SECRET}@host/0",
        f"redis://:{SECRET}@host/0",
        f"redis://host/0?password={SECRET}",
        f"redis://host/0?ssl_keyfile_Password={SECRET}",
        f"kafka://host?sasl_passwd={SECRET}",
        f"kafka://host?api_key={SECRET}&auth_token={SECRET}",
        f"postgresql://u:{SECRET}@h1,h2/db?client_secret={SECRET}",
        f"postgresql://h/db?listen_dsn=postgresql%3A%2F%2Fu%3A{SECRET}%40h",
    ],
)
def test_no_secret_is_shown(text: str) -> None:
    url = BrokerUrl.parse(text)
    for shown in (str(url), repr(url), f"{url}"):
        assert SECRET not in shown
        assert "***" in shown
    assert SECRET in url.raw


@pytest.mark.parametrize(
    "text",
    [
        f"redis:/user:{SECRET}@host",
        f"redis://user:{SECRET}@more@host/0",
        f"redis://user:{SECRET}/more@host/0",
        f"redis://user:{SECRET}?more@host/0",
        f"redis://u:{SECRET}@host/0?lease=x&lease=y",
        f"redis://u:{SECRET}@host/0?lease=never",
    ],
)
def test_no_secret_is_in_a_refusal(text: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        BrokerUrl.parse(text)
    assert SECRET not in str(caught.value)
    assert "more" not in str(caught.value)


def test_the_shown_url_reads_back() -> None:
    url = BrokerUrl.parse("kafka://a:1,b:2/x?domain=shop&lease=3&acks=all")
    again = BrokerUrl.parse(str(url))
    assert (again.hosts, again.path, again.domain, again.lease) == (url.hosts, url.path, url.domain, url.lease)
    assert dict(again.params) == dict(url.params)


@pytest.mark.parametrize(
    "query, says",
    [
        ("domain=", "domain name must not be empty"),
        ("domain=%20x", "white space"),
        ("lease=0", "lease='0': expected seconds, more than 0"),
        ("lease=-1", "lease='-1'"),
        ("lease=nan", "lease='nan'"),
        ("lease=inf", "lease='inf'"),
        ("lease=soon", "lease='soon'"),
        ("a=1&a=2", "'a' is given twice"),
        ("lease=1&lease=1", "'lease' is given twice"),
    ],
)
def test_bad_parameters(query: str, says: str) -> None:
    with pytest.raises(InvalidOption, match=says):
        BrokerUrl.parse(f"memory://?{query}")


READERS: dict[str, Callable[[str], Any]] = {"events_max": int, "ssl": flag, "patience": seconds, "password": int}


def test_a_backend_reads_its_own() -> None:
    url = BrokerUrl.parse("memory://?events_max=5&ssl=yes&patience=0.5")
    assert url.options(READERS) == {"events_max": 5, "ssl": True, "patience": 0.5}


def test_an_unknown_parameter_names_the_nearest() -> None:
    with pytest.raises(InvalidOption, match=r"memory:// has no parameter 'event_max'; did you mean 'events_max'\?"):
        BrokerUrl.parse("memory://?event_max=5").options(READERS)
    with pytest.raises(InvalidOption, match=r"did you mean 'lease'\?"):
        BrokerUrl.parse("memory://?leese=5").options(READERS)
    with pytest.raises(InvalidOption, match="it has domain, events_max, lease"):
        BrokerUrl.parse("memory://?zzz=5").options(READERS)


def test_a_bad_value_is_named_unless_it_is_secret() -> None:
    with pytest.raises(InvalidOption, match="ssl='maybe': expected 1 or 0"):
        BrokerUrl.parse("memory://?ssl=maybe").options(READERS)
    with pytest.raises(InvalidOption) as caught:
        BrokerUrl.parse(f"memory://?password={SECRET}").options({"password": seconds})
    assert "password='***'" in str(caught.value)


def test_a_reader_that_repeats_a_secret_value_is_not_quoted() -> None:
    with pytest.raises(InvalidOption) as caught:
        BrokerUrl.parse(f"memory://?password={SECRET}").options(READERS)
    assert SECRET not in str(caught.value)
