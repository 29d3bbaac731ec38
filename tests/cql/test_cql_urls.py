"""What a CQL URL may say, and that a wrong one is refused without showing a password."""

from __future__ import annotations

import pytest

from runtime.cql.urls import CassandraUrl, EmbeddedUrl, InvalidUrl, Tls, configured, parse_url


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("embedded:", "cql.db"),
        ("embedded:data/cql.db", "data/cql.db"),
        ("embedded:/var/lib/a%20b/%23.db", "/var/lib/a b/#.db"),
        ("embedded::memory:", None),
    ],
)
def test_embedded_paths(text: str, path: str | None) -> None:
    assert parse_url(text) == EmbeddedUrl(path)


def test_cassandra_with_everything() -> None:
    url = parse_url(
        "cassandra://sun:p%40ss%2Fw%3Ard@db1.example:9043,db2/?dc=dc1&consistency=QUORUM&serial_consistency=LOCAL_SERIAL"
        "&prefix=t1_&timeout_ms=900&connect_timeout_ms=800&max_in_flight=32&acquire_timeout_ms=700&slow_ms=0"
        "&page_size=50&speculative_ms=20&compression=lz4&tls=chain&tls_ca=ca.pem&tls_certificate=me.pem&tls_key=me.key"
    )
    assert url == CassandraUrl(
        (("db1.example", 9043), ("db2", 9042)),
        "sun",
        "p@ss/w:rd",
        dc="dc1",
        consistency="QUORUM",
        serial_consistency="LOCAL_SERIAL",
        prefix="t1_",
        timeout_ms=900,
        connect_timeout_ms=800,
        max_in_flight=32,
        acquire_timeout_ms=700,
        slow_ms=0,
        page_size=50,
        speculative_ms=20,
        compression="lz4",
        tls=Tls("ca.pem", "me.pem", "me.key", names=False),
    )


def test_defaults_hold_and_ipv6_hosts_stand_in_brackets() -> None:
    url = parse_url("cassandra://[::1],[fe80::2]:9043,h")
    assert url == CassandraUrl((("::1", 9042), ("fe80::2", 9043), ("h", 9042)))
    assert isinstance(url, CassandraUrl)
    assert url.place == "[::1]:9042,[fe80::2]:9043,h:9042"


def test_settings_count_where_the_url_gives_none() -> None:
    assert configured("cassandra://h", connect_timeout_ms=100) == CassandraUrl((("h", 9042),), connect_timeout_ms=100)
    stated = configured("cassandra://h/?connect_timeout_ms=7", connect_timeout_ms=100)
    assert stated == CassandraUrl((("h", 9042),), connect_timeout_ms=7)
    assert configured("embedded:a", connect_timeout_ms=100) == EmbeddedUrl("a")


def test_the_password_is_not_shown() -> None:
    assert "secret" not in repr(parse_url("cassandra://sun:secret@h/"))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "no scheme"),
        ("h1,h2", "no scheme"),
        ("secret:h1", "unknown scheme 'secret'"),
        ("scylla://h/", "unknown scheme 'scylla'"),
        ("embedded://h/cql.db", "no host"),
        ("embedded:a.db?dc=dc1", "unknown option 'dc'"),
        ("embedded:a.db?page_size=0", "page_size='0'"),
        ("cassandra:h", "cassandra://user:password@host"),
        ("cassandra:///", "host is missing"),
        ("cassandra://sun:pw@/", "host is missing"),
        ("cassandra://:pw@h/", "user is missing"),
        ("cassandra://sun:pw@h:x/", "malformed"),
        ("cassandra://sun:pw@h:99999/", "port"),
        ("cassandra://sun:pw@h,,i/", "malformed"),
        ("cassandra://sun:pw@::1/", "malformed"),
        ("cassandra://sun:p/w@h/", "no path"),
        ("cassandra://sun:p#w@h/", "'#'"),
        ("cassandra://h/keyspace", "no path"),
        ("cassandra://h/?nosuch=1", "unknown option 'nosuch'"),
        ("cassandra://h/?dc=", "dc= is empty"),
        ("cassandra://h/?dc=a&dc=b", "stands twice"),
        ("cassandra://h/?consistency=quorum", "consistency='quorum'"),
        ("cassandra://h/?serial_consistency=QUORUM", "serial_consistency='QUORUM'"),
        ("cassandra://h/?prefix=a-b", "prefix='a-b'"),
        ("cassandra://h/?timeout_ms=0", "timeout_ms='0'"),
        ("cassandra://h/?timeout_ms=1e3", "timeout_ms='1e3'"),
        ("cassandra://h/?max_in_flight=40000", "max_in_flight='40000'"),
        ("cassandra://h/?compression=snappy", "compression='snappy'"),
        ("cassandra://h/?tls=yes", "tls='yes'"),
        ("cassandra://h/?tls_ca=a.pem", "tls_ca needs tls=on"),
        ("cassandra://h/?tls=on&tls_key=a.pem", "needs a tls_certificate"),
    ],
)
def test_a_wrong_url_names_what_is_wrong_and_no_password(text: str, part: str) -> None:
    with pytest.raises(InvalidUrl, match=r"^CQL URL: ") as caught:
        parse_url(text)
    assert part in str(caught.value)
    assert "pw" not in str(caught.value)
