"""What a URL may say, and what is said of those that are wrong."""

from __future__ import annotations

import pytest

from orcastra_core.model.broker_url import BrokerUrl
from orcastra_core.model.errors import InvalidOption
from orcastra_redis.settings import Settings


def read(url: str) -> Settings:
    return Settings.of(BrokerUrl.parse(url))


def test_a_bare_url() -> None:
    settings = read("redis://")
    assert settings.hosts == (("127.0.0.1", 6379),)
    assert (settings.db, settings.tls, settings.protocol, settings.client_name) == (0, False, 3, "orcastra")
    assert (settings.timeout, settings.connect_timeout) == (5.0, 5.0)
    assert not settings.routed
    assert settings.prefix == "{orcastra}:"


def test_everything_of_one_server() -> None:
    settings = read(
        "rediss://ann:s%40crete@db.example:7000/3?domain=shop&events_max=10&timeout=1.5&connect_timeout=2&protocol=2"
        "&client_name=shop&wait_replicas=2&unsafe_eviction=1&tls_ca=ca.pem&tls_cert=me.pem&tls_key=me.key&tls_check_hostname=0"
    )
    assert settings.hosts == (("db.example", 7000),)
    assert (settings.username, settings.password, settings.db) == ("ann", "s@crete", 3)
    assert (settings.events_max, settings.timeout, settings.connect_timeout, settings.protocol) == (10, 1.5, 2.0, 2)
    assert (settings.tls, settings.tls_ca, settings.tls_cert, settings.tls_key) == (True, "ca.pem", "me.pem", "me.key")
    assert not settings.tls_check_hostname
    assert settings.wait_replicas == 2
    assert settings.unsafe_eviction
    assert settings.client_name == "shop"
    assert settings.prefix == "{shop}:"


def test_a_socket() -> None:
    settings = read("unix:///run/redis.sock?db=2")
    assert (settings.path, settings.db, settings.hosts) == ("/run/redis.sock", 2, ())


def test_a_cluster() -> None:
    settings = read("redis://a:1,b,[::1]:3/?cluster=1&nat=a:1=x:11,[::1]:3=y:13")
    assert settings.hosts == (("a", 1), ("b", 6379), ("::1", 3))
    assert settings.nat == {("a", 1): ("x", 11), ("::1", 3): ("y", 13)}
    assert settings.routed


def test_sentinels() -> None:
    settings = read("redis://a,b:1/2?sentinel=main&sentinel_username=u&sentinel_password=p")
    assert settings.hosts == (("a", 26379), ("b", 1))
    assert (settings.sentinel, settings.sentinel_username, settings.sentinel_password) == ("main", "u", "p")
    assert settings.routed


@pytest.mark.parametrize("domain", ["a{b", "a}b", "{}", "a%b"])
def test_a_domain_is_one_hash_tag_whatever_its_name(domain: str) -> None:
    prefix = Settings(hosts=(("h", 1),), domain=domain).prefix  # type: ignore[arg-type]
    assert prefix.startswith("{")
    assert prefix.endswith("}:")
    assert not set("{}") & set(prefix[1:-2])
    assert prefix[1:-2].replace("%7B", "{").replace("%7D", "}").replace("%25", "%") == domain


@pytest.mark.parametrize(
    "url, said",
    [
        ("redis://h/x", "'/x' is no database; write a number, as in redis://host:6379/0"),
        ("redis://h/-1", "'/-1' is no database"),
        ("redis://h:x/0", "'h:x' is no host:port"),
        ("redis://h:0/0", "'h:0' is no host:port"),
        ("redis://h:65536/0", "'h:65536' is no host:port"),
        ("redis://a,b/0", "several hosts need cluster=1 or sentinel=<name of the master>"),
        ("redis://a,b/1?cluster=1", "a cluster has database 0 only"),
        ("redis://a/0?cluster=1&sentinel=main", "cluster=1 and sentinel= exclude each other"),
        ("redis://a/0?sentinel=", "sentinel='': expected printable ASCII"),
        ("redis://a/0?client_name=a+b", "client_name='a b': expected printable ASCII without spaces"),
        ("redis://a/0?protocol=4", "protocol='4': expected 2 or 3"),
        ("redis://a/0?events_max=0", "events_max='0': expected at least 1"),
        ("redis://a/0?events_max=many", "events_max='many': expected a number"),
        ("redis://a/0?wait_replicas=-1", "wait_replicas='-1': expected a number"),
        ("redis://a/0?timeout=0", "timeout='0': expected seconds, more than 0"),
        ("redis://a/0?unsafe_eviction=maybe", "unsafe_eviction='maybe': expected 1 or 0"),
        ("redis://a/0?cluster=1&nat=a:1", "expected named:port=reached:port"),
        ("redis://a/0?cluster=1&nat=a:1=b:x", "expected named:port=reached:port"),
        ("redis://a/0?nat=a:1=b:2", "nat is for cluster=1 or sentinel=<name of the master>"),
        ("redis://a/0?tls_ca=ca.pem", "tls_ca is for rediss://"),
        ("redis://a/0?sentinel_password=x", "sentinel_password needs sentinel=<name of the master>"),
        ("redis://a/0?db=1", "redis:// has no parameter 'db'"),
        ("redis://a/0?evict=1", "redis:// has no parameter 'evict'"),
        ("unix://", "which socket? Write unix:///run/redis.sock"),
        ("unix://host/path", "which socket? Write unix:///run/redis.sock"),
        ("unix:///s?db=x", "db='x': expected a number"),
        ("unix:///s?cluster=1", "a cluster and sentinels are reached by host and port, not by a socket"),
    ],
)
def test_a_bad_url_is_refused_and_says_why(url: str, said: str) -> None:
    with pytest.raises(InvalidOption) as refused:
        read(url)
    assert said in str(refused.value)


def test_no_message_shows_a_secret() -> None:
    with pytest.raises(InvalidOption) as refused:
        read("redis://ann:hunter2@a,b/0?sentinel_password=hunter3")
    assert "hunter" not in str(refused.value)
