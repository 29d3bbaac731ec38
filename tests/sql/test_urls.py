"""What a SQL URL may say, and that a wrong one is refused without showing a password."""

from __future__ import annotations

import pytest

from runtime.sql.urls import InvalidUrl, MysqlUrl, SqliteUrl, configured, parse_url


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("sqlite:///sun.db", "sun.db"),
        ("sqlite:///data/sun.db", "data/sun.db"),
        ("sqlite:////var/lib/sun.db", "/var/lib/sun.db"),
        ("sqlite:////a%20b/%23.db", "/a b/#.db"),
        ("sqlite:///:memory:", None),
    ],
)
def test_sqlite_paths(text: str, path: str | None) -> None:
    assert parse_url(text) == SqliteUrl(path)


def test_mysql_with_everything() -> None:
    url = parse_url("mysql://sun:p%40ss%2Fw%3Ard@db.example:3307/?prefix=t1_&pool_size=4&connect_timeout_ms=900")
    assert url == MysqlUrl("db.example", 3307, "sun", "p@ss/w:rd", None, "t1_", 4, 900)


def test_mariadb_is_the_same_engine_and_defaults_hold() -> None:
    assert parse_url("mariadb://sun@localhost") == MysqlUrl("localhost", 3306, "sun", "")
    assert parse_url("mysql://sun@[::1]:3306") == MysqlUrl("::1", 3306, "sun", "")


def test_a_socket_stands_for_the_host() -> None:
    url = parse_url("mysql://sun@/?socket=/run/mysqld/mysqld.sock")
    assert isinstance(url, MysqlUrl)
    assert url.place == "/run/mysqld/mysqld.sock"


def test_settings_count_where_the_url_gives_none() -> None:
    url = configured("mysql://sun@h/?pool_size=3", pool_size=7, connect_timeout_ms=100)
    assert isinstance(url, MysqlUrl)
    assert (url.pool_size, url.connect_timeout_ms) == (3, 100)
    assert configured("sqlite:///a.db", pool_size=7) == SqliteUrl("a.db")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "no scheme"),
        ("sun.db", "no scheme"),
        ("postgres://sun@h/", "unknown scheme 'postgres'"),
        ("sqlite://sun.db", "three slashes"),
        ("sqlite:///", "path"),
        ("sqlite:///a.db?pool_size=3", "unknown option 'pool_size'"),
        ("sqlite:///a.db?readers=0", "readers='0'"),
        ("mysql://h/", "user is missing"),
        ("mysql://sun:secret@/", "host is missing"),
        ("mysql://sun:secret@h:x/", "port"),
        ("mysql://sun:secret@h:99999/", "port"),
        ("mysql://sun:secret@h/sun", "path"),
        ("mysql://sun:secret@h/#x", "'#'"),
        ("mysql://sun:secret@h/?pool_size=ten", "pool_size='ten'"),
        ("mysql://sun:secret@h/?pool_size=0", "pool_size='0'"),
        ("mysql://sun:secret@h/?pool_size=1&pool_size=2", "stands twice"),
        ("mysql://sun:secret@h/?prefix=a-b", "prefix='a-b'"),
        ("mysql://sun:se/cret@h/", "percent-encoded"),
        ("mysql://sun:se?cret@h/", "percent-encoded"),
        ("mysql://sun:se#cret@h/", "'#'"),
        ("mysql://[sun:secret@h/", "malformed"),
    ],
)
def test_a_wrong_url_names_the_part_and_not_the_password(text: str, part: str) -> None:
    with pytest.raises(InvalidUrl) as caught:
        parse_url(text)
    assert part in str(caught.value)
    assert "cret" not in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_repr_hides_the_password() -> None:
    assert "secret" not in repr(parse_url("mysql://sun:secret@h/"))


def test_given_options_count_where_the_text_has_none() -> None:
    given = configured("sqlite:///a.db", pool_size=3, cache_ms=2_000)
    assert isinstance(given, SqliteUrl)
    assert given.cache_ms == 2_000
    stated = configured("mysql://u@h/?cache_ms=0,mysql://u@r/", pool_size=3, cache_ms=2_000, connect_timeout_ms=None)
    assert isinstance(stated, MysqlUrl)
    assert (stated.pool_size, stated.cache_ms, stated.connect_timeout_ms) == (3, 0, 5_000)
    assert (stated.replicas[0].pool_size, stated.replicas[0].cache_ms) == (3, 2_000)
