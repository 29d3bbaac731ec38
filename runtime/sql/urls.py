"""The SQL URL: which engine, where it is and how it is used. Parses text; opens nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit


class InvalidUrl(ValueError):
    """A SQL URL that can't be used.

    The message names the part that is wrong and never holds the URL, which may hold a password.
    """


@dataclass(frozen=True, slots=True)
class SqliteUrl:
    """An SQLite file. `path` None is a private database, gone at close."""

    path: str | None  # relative to the working folder unless it begins with /
    busy_timeout_ms: int = 5_000  # for a lock that another process holds
    acquire_timeout_ms: int = 10_000  # for the writer, which a transaction of this process holds
    readers: int = 2  # threads for reads that are not short
    snapshots: int = 4  # read-only transactions and streams at once; each has a connection of its own
    slow_ms: int = 200  # a statement that takes longer is logged as a warning; 0 for never
    cache_ms: int | None = None  # the row cache keeps nothing for longer, whatever the schema says; 0: no cache


@dataclass(frozen=True, slots=True)
class MysqlUrl:
    """A MariaDB or MySQL server. `prefix` comes before the name of every logical database."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    socket: str | None = None  # path of a Unix socket, which then is used instead of host and port
    prefix: str = ""
    pool_size: int = 10
    connect_timeout_ms: int = 5_000
    acquire_timeout_ms: int = 10_000  # for a free connection of the pool
    slow_ms: int = 200  # a statement that takes longer is logged as a warning; 0 for never
    cache_ms: int | None = None  # the row cache keeps nothing for longer, whatever the schema says; 0: no cache
    replicas: tuple[MysqlUrl, ...] = ()
    own_writes_ms: int = 1_000  # after a write, reads of the one who wrote go to the primary; for replicas only

    @property
    def place(self) -> str:
        """Where the server is, for messages: `host:port` or the socket's path."""
        return self.socket or f"{self.host}:{self.port}"


SqlUrl = SqliteUrl | MysqlUrl

_COMMON = {"acquire_timeout_ms": 1, "slow_ms": 0, "cache_ms": 0}  # each with the least it can be
_SQLITE_OPTIONS = _COMMON | {"busy_timeout_ms": 0, "readers": 1, "snapshots": 1}
_MYSQL_OPTIONS = _COMMON | {"pool_size": 1, "connect_timeout_ms": 1, "own_writes_ms": 0}
_NEXT = re.compile(r",(?=(?:mysql|mariadb)://)")  # between the URLs of a primary and its replicas
_MAX_NUMBER = 86_400_000  # a day in ms; far above any sensible option


def parse_url(text: str) -> SqlUrl:
    """Parse `sqlite:///relative.db`, `sqlite:////absolute.db`, `sqlite:///:memory:` or `mysql://user:password@host:port/?option=…`.

    `mariadb://` is the same as `mysql://`. Options of both: acquire_timeout_ms, slow_ms, cache_ms. Of SQLite:
    busy_timeout_ms, readers, snapshots. Of MySQL: prefix, socket, pool_size, connect_timeout_ms, own_writes_ms.

    Read-only replicas follow the primary, URL by URL: `mysql://primary/,mysql://replica/`. Raises InvalidUrl.
    """
    primary, *others = map(_single, each(text))
    if not others:
        return primary
    replicas = tuple(url for url in others if isinstance(url, MysqlUrl))
    if not isinstance(primary, MysqlUrl) or len(replicas) < len(others):
        raise InvalidUrl("SQL URL: only a MariaDB or MySQL server has replicas")
    if any(url.prefix not in ("", primary.prefix) for url in replicas):
        raise InvalidUrl(f"SQL URL: a replica has the prefix of its primary, {primary.prefix!r}")
    return replace(primary, replicas=tuple(replace(url, prefix=primary.prefix) for url in replicas))


def _single(text: str) -> SqlUrl:
    try:
        parts = urlsplit(text)
    except ValueError:
        raise InvalidUrl("SQL URL: the host is malformed") from None
    if parts.fragment:
        raise InvalidUrl("SQL URL: '#' has no meaning here; write it as %23 in a password or a path")
    if parts.scheme == "sqlite":
        return _sqlite(parts)
    if parts.scheme in ("mysql", "mariadb"):
        return _mysql(parts)
    scheme = f"unknown scheme {parts.scheme!r}" if re.fullmatch(r"[a-z0-9+]{1,20}", parts.scheme) else "no scheme"
    raise InvalidUrl(f"SQL URL: {scheme}; use sqlite, mysql or mariadb")


def each(text: str) -> list[str]:
    """The URLs of a list, the primary's first."""
    return _NEXT.split(text)


def configured(url: str | SqlUrl, **given: int | None) -> SqlUrl:
    """A parsed URL, with the `given` values of options where its text has none. Raises InvalidUrl.

    What an engine has no option for is left out; None stands for not given.
    """
    if not isinstance(url, str):
        return url
    parsed = parse_url(url)
    values = {name: value for name, value in given.items() if value is not None}
    first, *others = each(url)
    if isinstance(parsed, SqliteUrl):
        return replace(parsed, **_unstated(first, values, _SQLITE_OPTIONS))
    replicas = [
        replace(replica, **_unstated(text, values, _MYSQL_OPTIONS))
        for replica, text in zip(parsed.replicas, others, strict=True)
    ]
    return replace(parsed, **_unstated(first, values, _MYSQL_OPTIONS), replicas=tuple(replicas))


def _unstated(text: str, values: dict[str, int], options: dict[str, int]) -> dict[str, Any]:
    stated = dict(parse_qsl(urlsplit(text).query))
    return {name: value for name, value in values.items() if name in options and name not in stated}


def _sqlite(parts: SplitResult) -> SqliteUrl:
    if parts.netloc:
        raise InvalidUrl("SQL URL: SQLite takes no host: write three slashes before the path, sqlite:///file.db")
    path = unquote(parts.path)[1:]
    if not path:
        raise InvalidUrl("SQL URL: the path of the SQLite file is missing")
    numbers = _numbers(_options(parts.query, set(_SQLITE_OPTIONS)), _SQLITE_OPTIONS)
    return SqliteUrl(None if path == ":memory:" else path, **numbers)


def _mysql(parts: SplitResult) -> MysqlUrl:
    # Nothing of the address is quoted: where a password was not percent-encoded, any part of it may hold the password.
    hint = "a password's / ? # @ : % must be percent-encoded"
    if parts.path not in ("", "/"):
        raise InvalidUrl(
            f"SQL URL: no path may follow the host: databases are named by the schema, use prefix= ({hint})"
        )
    try:
        port = parts.port or 3306
    except ValueError:
        raise InvalidUrl(f"SQL URL: the port is not a number from 1 to 65535 ({hint})") from None
    if not parts.username:
        raise InvalidUrl("SQL URL: the user is missing: mysql://user:password@host:port/")
    options = _options(parts.query, {"prefix", "socket", *_MYSQL_OPTIONS})
    socket = options.pop("socket", None)
    if not parts.hostname and socket is None:
        raise InvalidUrl("SQL URL: the host is missing: mysql://user:password@host:port/")
    prefix = options.pop("prefix", "")
    if not re.fullmatch(r"[A-Za-z0-9_]{0,32}", prefix):
        raise InvalidUrl(f"SQL URL: prefix={prefix!r} must be at most 32 letters, digits and underscores")
    numbers = _numbers(options, _MYSQL_OPTIONS)
    url = MysqlUrl(
        parts.hostname or "localhost",
        port,
        unquote(parts.username),
        unquote(parts.password or ""),
        socket,
        prefix,
    )
    return replace(url, **numbers)


def _options(query: str, known: set[str]) -> dict[str, str]:
    options: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in known:
            shown = f" {name!r}" if re.fullmatch(r"[a-z_]{1,32}", name) else ""
            raise InvalidUrl(f"SQL URL: unknown option{shown}; there are {', '.join(sorted(known))}")
        if name in options:
            raise InvalidUrl(f"SQL URL: option {name!r} stands twice")
        options[name] = value
    return options


def _numbers(options: dict[str, str], least: dict[str, int]) -> dict[str, int]:
    numbers: dict[str, int] = {}
    for name, value in options.items():
        if not re.fullmatch(r"[0-9]{1,9}", value) or not least[name] <= int(value) <= _MAX_NUMBER:
            raise InvalidUrl(f"SQL URL: {name}={value!r} must be a whole number from {least[name]} to {_MAX_NUMBER}")
        numbers[name] = int(value)
    return numbers
