"""From a CQL URL to a session of the driver, or to one clear error. Runs no statements of anybody's."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterable
from typing import Any

from runtime.cql.cassandra import driver
from runtime.cql.cassandra.failures import reach
from runtime.cql.cassandra.protocol import Handler
from runtime.cql.cassandra.scheduler import Scheduler
from runtime.cql.errors import CqlError
from runtime.cql.urls import CassandraUrl, InvalidUrl, Tls

log = logging.getLogger("sun.cql")

_HEARTBEAT_S = 10
"""Seconds of silence after which a connection is asked, and those that it then may take to answer. A connection that
died without a word is found out within twice this.
"""
_RECONNECT_S = (0.25, 5.0)
"""Seconds between attempts to reach a node that is down: the first and the longest."""
_PROTOCOL = 4
"""Version 5 wraps each message in segments with checksums, which the driver computes in Python; it has nothing else
that is used here. Every Cassandra from 2.2 on speaks 4.
"""

_HEARD = (
    "Control connection failed to connect",
    "[control connection] Error connecting to",
    "Error preparing query",
)
"""Beginnings of what the driver logs, with a traceback, and raises or says in one line as well."""


class Connection(driver.DefaultConnection):
    """The driver's connection, that takes messages also while the kernel's buffer is full.

    The driver refuses them then, after it has given them a number that it never takes back. They wait in the
    connection's queue instead, which can't grow: requests in flight are bounded.
    """

    @property
    def _socket_writable(self) -> bool:
        return True

    @_socket_writable.setter
    def _socket_writable(self, value: bool) -> None:
        pass


class IfHarmless(driver.RetryPolicy):
    """Tries again, once and elsewhere, what says that running it twice is running it once."""

    def on_read_timeout(self, query: Any, *given: Any, **named: Any) -> tuple[int, Any]:
        parent: Any = super()
        return self._again(query, parent.on_read_timeout(query, *given, **named))

    def on_write_timeout(self, query: Any, *given: Any, **named: Any) -> tuple[int, Any]:
        parent: Any = super()
        return self._again(query, parent.on_write_timeout(query, *given, **named))

    def on_unavailable(self, query: Any, *given: Any, **named: Any) -> tuple[int, Any]:
        parent: Any = super()
        return self._again(query, parent.on_unavailable(query, *given, **named))

    def on_request_error(self, query: Any, consistency: Any, error: Exception, retry_num: int) -> tuple[int, Any]:
        there = isinstance(error, driver.Overloaded | driver.IsBootstrapping | driver.ConnectionException)
        if there and retry_num == 0:
            return self._again(query, (self.RETRY_NEXT_HOST, None))
        return self.RETHROW, None

    def _again(self, query: Any, decision: tuple[int, Any]) -> tuple[int, Any]:
        return decision if query is not None and query.is_idempotent else (self.RETHROW, None)


def open_session(url: CassandraUrl, timestamps: Callable[[], int]) -> tuple[Any, Any]:
    """A cluster and a session of the driver. Blocks for as long as connecting takes.

    `timestamps` gives the µs of each write. Raises InvalidUrl, Unavailable and Denied.
    """
    _quiet()
    if not driver.DefaultConnection.__name__.startswith("Libev"):
        log.warning("the driver has no libev here: it uses %s, which is slower", driver.DefaultConnection.__name__)
    try:
        cluster = driver.Cluster(**_options(url), timestamp_generator=timestamps)
    except driver.UnresolvableContactPoints as error:
        raise reach(url.place, error) from error
    cluster.scheduler.shutdown()
    cluster.scheduler = Scheduler(cluster.executor)
    try:
        session = cluster.connect()
        _check_dc(url, cluster.metadata.all_hosts())
    except Exception as error:
        hosts = cluster.metadata.all_hosts()
        cluster.shutdown()
        if isinstance(error, InvalidUrl | CqlError):
            raise
        _check_dc(url, hosts)
        raise reach(url.place, error) from error
    session.client_protocol_handler = Handler
    return cluster, session


def _options(url: CassandraUrl) -> dict[str, Any]:
    seconds = url.connect_timeout_ms / 1000
    speculation = None
    if url.speculative_ms:
        speculation = driver.ConstantSpeculativeExecutionPolicy(url.speculative_ms / 1000, 1)
    profile = driver.ExecutionProfile(
        load_balancing_policy=driver.TokenAwarePolicy(
            driver.DCAwareRoundRobinPolicy(url.dc or ""), shuffle_replicas=True
        ),
        retry_policy=IfHarmless(),
        consistency_level=level(url.consistency),
        serial_consistency_level=level(url.serial_consistency),
        request_timeout=None,  # its clock may step; the engine keeps the time
        row_factory=_as_it_came,
        speculative_execution_policy=speculation,
    )
    options: dict[str, Any] = {
        "contact_points": list(url.hosts),
        "port": url.hosts[0][1],
        "protocol_version": _PROTOCOL,
        "compression": _compression(url),
        "connection_class": Connection,
        "connect_timeout": seconds,
        "control_connection_timeout": seconds,
        "idle_heartbeat_interval": _HEARTBEAT_S,
        "idle_heartbeat_timeout": _HEARTBEAT_S,
        "reconnection_policy": driver.ExponentialReconnectionPolicy(*_RECONNECT_S, max_attempts=None),
        "execution_profiles": {driver.EXEC_PROFILE_DEFAULT: profile},
        "monitor_reporting_enabled": False,
    }
    if url.user is not None:
        options["auth_provider"] = driver.PlainTextAuthProvider(url.user, url.password)
    if url.tls is not None:
        options["ssl_context"] = _context(url.tls)
    return options


def level(consistency: str) -> int:
    """The driver's number for a consistency."""
    return driver.ConsistencyLevel.name_to_value[consistency]


def _as_it_came(names: object, rows: object) -> object:
    return rows


def _compression(url: CassandraUrl) -> str | bool:
    if url.compression == "none":
        return False
    if url.compression not in driver.locally_supported_compressions:
        raise InvalidUrl(f"CQL URL: compression={url.compression} needs the Python package {url.compression}")
    return url.compression


def _context(tls: Tls) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=tls.ca)
    except (OSError, ssl.SSLError) as error:
        raise InvalidUrl(f"CQL URL: tls_ca={tls.ca!r} can't be used: {error.strerror or error}") from None
    if tls.certificate is not None:
        try:
            context.load_cert_chain(tls.certificate, tls.key)
        except (OSError, ssl.SSLError) as error:
            said = error.strerror or error
            raise InvalidUrl(f"CQL URL: tls_certificate={tls.certificate!r} can't be used: {said}") from None
    context.check_hostname = tls.names
    return context


def _check_dc(url: CassandraUrl, hosts: Iterable[Any]) -> None:
    there = sorted({host.datacenter for host in hosts if host.datacenter})
    if url.dc is None and len(there) > 1:
        raise InvalidUrl(f"CQL URL: the cluster has several data centres: say dc= and one of {', '.join(there)}")
    if url.dc is not None and there and url.dc not in there:
        raise InvalidUrl(f"CQL URL: dc={url.dc!r}: the cluster has no such data centre, but {', '.join(there)}")


def _quiet() -> None:
    for name in ("cassandra.cluster", "cassandra.connection"):
        logging.getLogger(name).addFilter(_not_heard)  # a second time does nothing


def _not_heard(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(_HEARD)
