"""The limits and addresses of one gateway as a value; where they come from (files, environment) is not its affair."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.rpc.proxies import ForwardedHeader

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True)
class GatewaySettings:
    """Times are milliseconds, sizes bytes. Limits are on by default; the tests make them small to meet them."""

    host: str = "127.0.0.1"
    port: int = 8650
    """0 for any free port."""
    admin_host: str = "127.0.0.1"
    admin_port: int | None = None
    """Where /metrics and /readyz are, apart from the calls; None for the same port as they, 0 for a free one."""
    allowed_origins: tuple[str, ...] = ()
    """Origins of browsers besides the gateway's own host, as in `https://app.example.com`; `*` for every one."""
    trusted_proxies: tuple[str, ...] = ()
    """Networks, as in `10.0.0.0/8`, and addresses of proxies whose `forwarded_header` is believed."""
    forwarded_header: ForwardedHeader = "x-forwarded-for"
    """The one header in which they name the client. The other one is never read: they pass it on unseen."""

    explorer: bool = False
    """Whether there is a page at / that lists the services and calls them."""

    max_message_bytes: int = 4 * MIB
    """The largest request, counted after inflation."""
    gzip_min_bytes: int = KIB
    """Smaller HTTP responses are not compressed."""
    default_timeout_ms: int = 30_000
    """The time limit of a call whose client sets none."""
    max_timeout_ms: int = 300_000
    """Longer time limits of clients are cut to this."""
    max_stream_ms: int = 3_600_000
    """A call that answers with a stream ends after this, or after its client's own time limit where that is shorter."""
    max_calls: int = 5_000
    """Calls in flight in the process; more are answered `unavailable`."""
    shed_target_ms: int = 100
    """How long calls may wait, to begin or for a database connection, before more are refused: see
    runtime/rpc/overload.py. 0 refuses none."""
    log_requests: bool = False
    """The fields of every request are logged at debug, but for those that the schema marks with `debug_redact`."""
    max_connection_calls: int = 256
    """Calls in flight on one socket; more are answered `resource_exhausted`."""
    identity_max_age_ms: int = 30_000
    """The identity of a socket or a stream that is older than this is asked for again at the next call or message."""

    max_connections: int = 20_000
    """Open sockets; more get HTTP 503 at the handshake."""
    send_buffer_bytes: int = MIB
    """What a socket's reader may be behind before it is closed as slow. A push that would go over it is not queued, a
    reply is; one message alone may always be larger."""
    hello_timeout_ms: int = 10_000
    ping_interval_ms: int = 25_000
    """A socket that was silent for this long is pinged."""
    ping_timeout_ms: int = 10_000
    """A socket silent for this long after a ping is closed."""
    socket_idle_ms: int = 0
    """A socket without a call for this long is closed; 0 for never."""
    push_ack_timeout_ms: int = 60_000
    """A socket that was sent pushes and has acknowledged none for this long is closed; it may come back and resume."""
    compress_sockets: bool = False
    """Offer permessage-deflate: less traffic for more CPU and some 300 KB of memory a connection."""
    http_idle_ms: int = 75_000
    """A kept-alive HTTP connection is closed after this long without a request."""
    body_timeout_ms: int = 30_000
    """A request body must have arrived within this."""
    unread_timeout_ms: int = 60_000
    """An HTTP answer, or one message of a stream, must have been taken within this, or the connection is closed."""

    drain_delay_ms: int = 0
    """A draining gateway is not ready, and goes on to take connections, for this long: until balancers have seen it."""
    drain_timeout_ms: int = 10_000
    """Calls in flight may go on for this long while the gateway drains."""
    drain_grace_ms: int = 250
    """The drain waits this long for calls that were on their way when the goodbye left."""
