"""What a URL may say, and what is said of those that are wrong."""

from __future__ import annotations

import pytest

from orcastra_core.model.broker_url import BrokerUrl
from orcastra_core.model.errors import InvalidOption
from orcastra_postgres.settings import Settings


def read(url: str) -> Settings:
    return Settings.of(BrokerUrl.parse(url))


def test_a_bare_url() -> None:
    settings = read("postgresql://")
    assert settings.dsn == "postgresql://"
    assert (settings.domain, settings.schema, settings.migrate) == ("orcastra", "orcastra", True)
    assert (settings.pool, settings.pooler, settings.listen, settings.poll) == (4, False, True, 1.0)
    assert (settings.timeout, settings.connect_timeout, settings.synchronous_commit) == (10.0, 5.0, None)
    assert settings.direct == settings.dsn


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_everything_of_ours(scheme: str) -> None:
    settings = read(
        f"{scheme}://ann:s%40crete@db.example:6432/shop?domain=east&schema=jobs&migrate=0&pool=2&pooler=1"
        "&listen_dsn=postgresql%3A%2F%2Fann%3As%2540crete%40db.example%3A5432%2Fshop&poll=0.5&synchronous_commit=remote_apply"
        "&events_max=10&timeout=1.5&connect_timeout=2&application_name=shop-7"
    )
    assert settings.dsn == "postgresql://ann:s%40crete@db.example:6432/shop"
    assert settings.direct == "postgresql://ann:s%40crete@db.example:5432/shop"
    assert (settings.domain, settings.schema, settings.migrate) == ("east", "jobs", False)
    assert (settings.pool, settings.pooler, settings.listen, settings.poll) == (2, True, True, 0.5)
    assert (settings.synchronous_commit, settings.events_max) == ("remote_apply", 10)
    assert (settings.timeout, settings.connect_timeout, settings.application_name) == (1.5, 2.0, "shop-7")


def test_a_pooler_has_nothing_to_listen_by_unless_it_is_told() -> None:
    settings = read("postgresql://h/d?pooler=1")
    assert not settings.listen
    assert settings.direct is None


def test_without_listening_there_is_no_direct_connection() -> None:
    assert read("postgresql://h/d?listen=0").direct is None


def test_what_libpq_has_goes_to_the_client_library() -> None:
    dsn = read("postgresql://h/d?sslmode=verify-full&sslrootcert=/a%20b.pem&passfile=/p&domain=x&poll=1").dsn
    assert dsn == "postgresql://h/d?passfile=%2Fp&sslmode=verify-full&sslrootcert=%2Fa%20b.pem"


def test_a_service_file_is_no_part_of_the_dsn() -> None:
    settings = read("postgresql://?service=shop&servicefile=/etc/services.conf")
    assert (settings.dsn, settings.servicefile) == ("postgresql://?service=shop", "/etc/services.conf")


def test_several_hosts_and_an_ipv6_address() -> None:
    dsn = read("postgresql://a:1,b,[::1]:3/d?target_session_attrs=read-write").dsn
    assert dsn == "postgresql://a:1,b,[::1]:3/d?target_session_attrs=read-write"


def test_a_socket() -> None:
    assert read("postgresql:///d?host=/run/postgresql").dsn == "postgresql:///d?host=%2Frun%2Fpostgresql"


@pytest.mark.parametrize(
    "url, said",
    [
        ("postgresql://h/d?pol=2", "postgresql:// has no parameter 'pol'; did you mean"),
        ("postgresql://h/d?schema=a-b", "schema='a-b': expected a name of letters, digits and _"),
        ("postgresql://h/d?schema=pg_jobs", "schema='pg_jobs': expected a name"),
        ('postgresql://h/d?schema=a"b', "expected a name of letters, digits and _"),
        ("postgresql://h/d?pool=0", "pool='0': expected at least 1"),
        ("postgresql://h/d?pool=many", "pool='many'"),
        ("postgresql://h/d?pooler=maybe", "pooler='maybe': expected 1 or 0"),
        ("postgresql://h/d?poll=0", "poll='0': expected seconds, more than 0"),
        ("postgresql://h/d?timeout=-1", "timeout='-1': expected seconds, more than 0"),
        ("postgresql://h/d?synchronous_commit=maybe", "synchronous_commit='maybe': expected on, off, local"),
        ("postgresql://h/d?events_max=0", "events_max='0': expected at least 1"),
        ("postgresql://h/d?listen_dsn=h:5432", "listen_dsn='h:5432': expected a postgresql:// URL"),
        ("postgresql://h/d?listen=0&listen_dsn=postgresql%3A%2F%2Fh", "listen_dsn= is for listening, and listen=0 says not to"),
        ("postgresql://h/d?application_name=a%20b", "application_name='a b': expected printable ASCII without spaces"),
    ],
)  # fmt: skip
def test_a_bad_url_is_refused_and_says_why(url: str, said: str) -> None:
    with pytest.raises(InvalidOption) as refused:
        read(url)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:hunter2@h/d?schema=a-b",
        "postgresql://ann@h/d?password=hunter2&schema=a-b",
        "postgresql://ann:hunter2@h/d?listen=0&listen_dsn=postgresql%3A%2F%2Fann%3Ahunter2%40h",
    ],
)
def test_no_message_shows_a_secret(url: str) -> None:
    with pytest.raises(InvalidOption) as refused:
        read(url)
    assert "hunter" not in str(refused.value)


def test_its_own_text_shows_no_secret() -> None:
    url = "postgresql://ann:hunter2@h/d?sslpassword=hunter3&listen_dsn=postgresql%3A%2F%2Fann%3Ahunter4%40h"
    assert "hunter" not in repr(read(url))
