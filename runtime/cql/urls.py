"""The CQL URL: which engine, where it is and how it is used. Parses text; opens nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args
from urllib.parse import parse_qsl, unquote

from runtime.cql.statements import Consistency, SerialConsistency


class InvalidUrl(ValueError):
    """A CQL URL that can't be used.

    The message names the part that is wrong and never holds the URL, which may hold a password.
    """


@dataclass(frozen=True, slots=True)
class EmbeddedUrl:
    """The store inside this process. `path` None is a private one, gone at close."""

    path: str | None  # relative to the working folder unless it begins with /
    slow_ms: int = 200  # a request that takes longer is logged as a warning; 0 for never
    page_size: int = 1_000  # rows that a stream holds at once


@dataclass(frozen=True, slots=True)
class Tls:
    """`ca`, `certificate` and `key` are paths of PEM files; without `ca`, the system's authorities are trusted.

    `names` False checks that the certificate is of a trusted authority, not that it is this host's.
    """

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    names: bool = True


@dataclass(frozen=True, slots=True)
class CassandraUrl:
    """A cluster. `prefix` comes before the name of every keyspace."""

    hosts: tuple[tuple[str, int], ...]
    user: str | None = None
    password: str = field(default="", repr=False)
    dc: str | None = None  # the data centre that is asked; may be None where there is only one
    consistency: Consistency = "LOCAL_QUORUM"
    serial_consistency: SerialConsistency = "SERIAL"
    prefix: str = ""
    timeout_ms: int = 10_000  # from a request to its answer, everything counted
    connect_timeout_ms: int = 5_000
    max_in_flight: int = 1_024
    acquire_timeout_ms: int = 5_000  # for a place among those in flight
    slow_ms: int = 200  # a request that takes longer is logged as a warning; 0 for never
    page_size: int = 1_000  # rows that the cluster sends at once
    speculative_ms: int = 0  # an idempotent request without an answer by then is sent to another node, too; 0: none
    compression: Literal["lz4", "none"] = "none"
    tls: Tls | None = None

    @property
    def place(self) -> str:
        """Where the cluster is, for messages."""
        return ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)


CqlUrl = EmbeddedUrl | CassandraUrl

PORT = 9042

_MAX_NUMBER = 86_400_000  # a day in ms; far above any sensible option
_MAX_IN_FLIGHT = 16_384  # a connection has 32,768 numbers for requests, and those given up keep theirs for a while
_EMBEDDED_OPTIONS = {"slow_ms": (0, _MAX_NUMBER), "page_size": (1, 1_000_000)}  # each with its bounds
_CASSANDRA_OPTIONS = _EMBEDDED_OPTIONS | {
    "timeout_ms": (1, _MAX_NUMBER),
    "connect_timeout_ms": (1, _MAX_NUMBER),
    "max_in_flight": (1, _MAX_IN_FLIGHT),
    "acquire_timeout_ms": (1, _MAX_NUMBER),
    "speculative_ms": (0, _MAX_NUMBER),
}
_WORDS: dict[str, tuple[str, ...]] = {
    "consistency": get_args(Consistency),
    "serial_consistency": get_args(SerialConsistency),
    "compression": ("lz4", "none"),
    "tls": ("on", "chain", "off"),
}
_FILES = ("tls_ca", "tls_certificate", "tls_key")
_CASSANDRA = re.compile(r"cassandra://(?P<address>[^/?#]*)(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?", re.DOTALL)
_HOST = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.%]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::(?P<port>[0-9]{1,5}))?")
_HINT = "a password's / ? # @ : % must be percent-encoded"


def parse_url(text: str) -> CqlUrl:
    """Parse `cassandra://user:password@host:port,host/?option=…` or `embedded:path`, `embedded::memory:`.

    Options of both: slow_ms, page_size. Of Cassandra: dc, consistency, serial_consistency, prefix, timeout_ms,
    connect_timeout_ms, max_in_flight, acquire_timeout_ms, speculative_ms, compression (lz4, none), tls (on, chain,
    off), tls_ca, tls_certificate, tls_key. `embedded:` alone is the file `cql.db`. Raises InvalidUrl.
    """
    if "#" in text:
        raise InvalidUrl("CQL URL: '#' has no meaning here; write it as %23 in a password or a path")
    scheme = text.partition(":")[0]
    if scheme == "embedded":
        return _embedded(text.removeprefix("embedded:"))
    if scheme == "cassandra":
        return _cassandra(text)
    named = ":" in text and re.fullmatch(r"[a-z0-9+]{1,20}", scheme)
    said = f"unknown scheme {scheme!r}" if named else "no scheme"
    raise InvalidUrl(f"CQL URL: {said}; use cassandra or embedded")


def configured(url: str | CqlUrl, *, connect_timeout_ms: int | None = None) -> CqlUrl:
    """A parsed URL, with the given value where its text has none. Raises InvalidUrl."""
    if not isinstance(url, str):
        return url
    parsed = parse_url(url)
    if connect_timeout_ms is None or isinstance(parsed, EmbeddedUrl):
        return parsed
    stated = dict(parse_qsl(url.partition("?")[2], keep_blank_values=True))
    return parsed if "connect_timeout_ms" in stated else replace(parsed, connect_timeout_ms=connect_timeout_ms)


def _embedded(rest: str) -> EmbeddedUrl:
    path, _, query = rest.partition("?")
    if path.startswith("//"):
        raise InvalidUrl("CQL URL: the embedded store takes no host: write embedded:path")
    options = _options(query, set(_EMBEDDED_OPTIONS))
    numbers = _numbers(options, _EMBEDDED_OPTIONS)
    return EmbeddedUrl(None if path == ":memory:" else unquote(path) or "cql.db", **numbers)


def _cassandra(text: str) -> CassandraUrl:
    # Nothing of the address is quoted: where a password was not percent-encoded, any part of it may hold the password.
    parts = _CASSANDRA.fullmatch(text)
    if parts is None:
        raise InvalidUrl("CQL URL: write cassandra://user:password@host:port,host/")
    if parts["path"] not in ("", "/"):
        raise InvalidUrl(
            f"CQL URL: no path may follow the hosts: keyspaces are named by the schema, use prefix= ({_HINT})"
        )
    user, password, hosts = _address(parts["address"])
    options = _options(parts["query"] or "", {"dc", "prefix", *_FILES, *_WORDS, *_CASSANDRA_OPTIONS})
    words: dict[str, Any] = {name: _word(name, options.pop(name)) for name in _WORDS if name in options}
    tls = _tls(words.pop("tls", None), {name: options.pop(name) for name in _FILES if name in options})
    dc = options.pop("dc", None)
    if dc == "":
        raise InvalidUrl("CQL URL: dc= is empty: name the data centre, or leave it out")
    prefix = options.pop("prefix", "")
    if not re.fullmatch(r"[A-Za-z0-9_]{0,32}", prefix):
        raise InvalidUrl(f"CQL URL: prefix={prefix!r} must be at most 32 letters, digits and underscores")
    numbers = _numbers(options, _CASSANDRA_OPTIONS)
    return CassandraUrl(hosts, user, password, dc=dc, prefix=prefix, tls=tls, **words, **numbers)


def _address(text: str) -> tuple[str | None, str, tuple[tuple[str, int], ...]]:
    credentials, at, places = text.rpartition("@")
    user, _, password = credentials.partition(":")
    if at and not user:
        raise InvalidUrl(f"CQL URL: the user is missing: cassandra://user:password@host/ ({_HINT})")
    if not places:
        raise InvalidUrl("CQL URL: the host is missing: cassandra://host/")
    hosts: list[tuple[str, int]] = []
    for place in places.split(","):
        found = _HOST.fullmatch(place)
        if found is None:
            raise InvalidUrl(f"CQL URL: a host is malformed: write host, host:port or [IPv6]:port ({_HINT})")
        port = int(found["port"] or PORT)
        if not 1 <= port <= 65_535:
            raise InvalidUrl(f"CQL URL: the port is not a number from 1 to 65535 ({_HINT})")
        hosts.append((found["v6"] or found["name"], port))
    return (unquote(user) if at else None), unquote(password), tuple(hosts)


def _tls(word: str | None, files: dict[str, str]) -> Tls | None:
    if word is None and not files:
        return None
    if word in (None, "off"):
        if files:
            raise InvalidUrl(f"CQL URL: {next(iter(files))} needs tls=on or tls=chain")
        return None
    if "tls_key" in files and "tls_certificate" not in files:
        raise InvalidUrl("CQL URL: tls_key needs a tls_certificate")
    return Tls(files.get("tls_ca"), files.get("tls_certificate"), files.get("tls_key"), names=word == "on")


def _word(name: str, value: str) -> str:
    if value not in _WORDS[name]:
        raise InvalidUrl(f"CQL URL: {name}={value!r} must be one of {', '.join(_WORDS[name])}")
    return value


def _options(query: str, known: set[str]) -> dict[str, str]:
    options: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in known:
            shown = f" {name!r}" if re.fullmatch(r"[a-z_]{1,32}", name) else ""
            raise InvalidUrl(f"CQL URL: unknown option{shown}; there are {', '.join(sorted(known))}")
        if name in options:
            raise InvalidUrl(f"CQL URL: option {name!r} stands twice")
        options[name] = value
    return options


def _numbers(options: dict[str, str], bounds: dict[str, tuple[int, int]]) -> dict[str, Any]:
    numbers: dict[str, Any] = {}
    for name, value in options.items():
        least, most = bounds[name]
        if not re.fullmatch(r"[0-9]{1,9}", value) or not least <= int(value) <= most:
            raise InvalidUrl(f"CQL URL: {name}={value!r} must be a whole number from {least} to {most}")
        numbers[name] = int(value)
    return numbers
