"""Structured logs of the process: format, level and redaction, set up by one explicit call."""

from __future__ import annotations

import functools
import logging
import re
import sys
import time
from collections.abc import Mapping
from typing import Any, Literal, TextIO, cast

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

REDACTED = "[redacted]"

_SECRET_KEYS = frozenset(
    {
        "authorization",
        "code",
        "confirm_code",
        "cookie",
        "credentials",
        "dsn",
        "passwd",
        "password",
        "secret",
        "set_cookie",
        "token",
    }
)
_SECRET_ENDINGS = ("_token", "_password", "_secret")
_BEARER = re.compile(r"(?i)\bbearer\s+\S+")
_URL_PASSWORD = re.compile(r"(://[^\s/:@]*:)[^\s/@]+(@)")


def configure_logging(
    style: Literal["console", "json"] = "console",
    level: str = "info",
    stream: TextIO | None = None,
    worker: int | None = None,
) -> None:
    """Sends the logs of structlog and of `logging` to `stream` (standard error by default), one line an event.

    `worker` is told in every line, where several processes share the stream.

    Raises ValueError for a level that LEVELS does not have.
    """
    if level not in LEVELS:
        raise ValueError(f"log level {level!r}: one of {', '.join(LEVELS)}")
    out = sys.stderr if stream is None else stream
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        _Stamp(),
        # Plain tracebacks: richer ones print local variables, and those hold secrets.
        structlog.processors.format_exc_info,
        redact,
    ]
    if worker is not None:
        shared.insert(0, _Worker(worker))
    renderer: Processor = _to_json if style == "json" else _to_line
    if style == "console" and out.isatty():
        renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer], foreign_pre_chain=shared
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(LEVELS[level])
    # Tornado's info and debug lines on malformed requests repeat the header they fell over, which may be the token.
    for chatty in ("tornado.general", "cassandra"):
        logging.getLogger(chatty).setLevel(max(LEVELS[level], logging.WARNING))


def redact(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """A structlog processor: values of secret keys at any depth, bearer tokens, passwords in URLs are replaced."""
    for key, value in event.items():
        if is_secret(key):
            event[key] = REDACTED
        elif isinstance(value, str):
            # A bearer token follows a space, a URL's password precedes an @: most values of a call's line have neither.
            if " " in value or "@" in value:
                event[key] = _without_secrets(value)
        elif isinstance(value, (dict, list, tuple)):
            event[key] = _redacted(value)
    return event


@functools.lru_cache(maxsize=4096)
def is_secret(key: str) -> bool:
    """Whether values under this key are kept out of the log."""
    plain = key.lower().replace("-", "_")
    return plain in _SECRET_KEYS or plain.endswith(_SECRET_ENDINGS)


def _without_secrets(text: str) -> str:
    return _URL_PASSWORD.sub(rf"\1{REDACTED}\2", _BEARER.sub(f"Bearer {REDACTED}", text))


def _redacted(value: Any) -> Any:
    if isinstance(value, Mapping):
        items = cast(Mapping[Any, Any], value).items()
        return {key: REDACTED if is_secret(str(key)) else _redacted(inner) for key, inner in items}
    if isinstance(value, (list, tuple)):
        return [_redacted(inner) for inner in cast(list[Any], value)]
    if isinstance(value, str):
        return _without_secrets(value)
    return value


class _Stamp:
    """A processor that adds the time in UTC. The text of a second is made once: every call logs a line."""

    def __init__(self) -> None:
        self._second = 0
        self._text = ""

    def __call__(self, logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
        now = time.time()
        second = int(now)
        if second != self._second:
            self._second, self._text = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        event["timestamp"] = f"{self._text}.{int((now - second) * 1_000_000):06d}Z"
        return event


class _Worker:
    """A processor that adds the number of the worker."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __call__(self, logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
        event.setdefault("worker", self._number)
        return event


_encode = msgspec.json.Encoder(enc_hook=repr).encode


def _to_json(logger: WrappedLogger, name: str, event: EventDict) -> str:
    return _encode(event).decode()


def _to_line(logger: WrappedLogger, name: str, event: EventDict) -> str:
    """The console's line without colours, for files and pipes, at a third of ConsoleRenderer's cost."""
    stamp, level, text = event.pop("timestamp"), event.pop("level"), event.pop("event")
    exception = event.pop("exception", None)
    fields = " ".join([f"{key}={_plain(value)}" for key, value in event.items()])
    line = f"{stamp} [{level:<8}] {text!s:<30} {fields}".rstrip()
    return line if exception is None else f"{line}\n{exception}"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) and value.isprintable() and " " not in value and value else repr(value)
