"""What generated services stand on: methods as values, and the service base."""

from __future__ import annotations

import abc
import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, NamedTuple, Self, TypeVar

from google.protobuf.message import Message

from runtime.rpc.errors import DeclaredError

Q = TypeVar("Q", bound=Message)
A = TypeVar("A", bound=Message)


class Callers(enum.Enum):
    """Who may call a method. The gateway enforces all but the ownership of OWNER, which only the handler can see."""

    ANYONE = "anyone"
    USER = "user"
    OWNER = "owner"
    ADMIN = "admin"


class Violation(NamedTuple):
    """One rule of the schema that a request breaks: path of the field, name of the rule, what to do."""

    field: str
    rule: str
    message: str


class Per(enum.Enum):
    """Whose calls share a bucket."""

    USER = "user"
    ADDRESS = "address"
    DEVICE = "device"
    CALLER = "caller"
    """The user, or the address of somebody anonymous."""
    KEY = "key"
    """What the handler names."""


class Charge(enum.Enum):
    """Which calls cost a token."""

    ALWAYS = "always"
    FAILURES = "failures"
    SUCCESSES = "successes"


@dataclass(frozen=True, eq=False, slots=True)
class Limit:
    """One limit, as generated: buckets of `tokens` that fill from empty to full in `refill_ms`."""

    name: str
    per: tuple[Per, ...]
    tokens: int
    refill_ms: int
    charge: Charge = Charge.ALWAYS


@dataclass(frozen=True, eq=False)
class Method(Generic[Q, A]):
    """One method of a service, as generated.

    `path` is `sun.v1.SocialService/AddPost`, `attribute` the Python name `add_post`. Of the numbers, 0 leaves it to the
    server's own limits. `deprecated_since_s` is in seconds since 1970, 0 where the schema gives no date.
    """

    path: str
    attribute: str
    request: type[Q]
    response: type[A]
    callers: Callers
    errors: tuple[type[DeclaredError], ...] = ()
    side_effects: bool = True
    idempotent: bool = False
    server_streaming: bool = False
    check: Callable[[Q], list[Violation]] | None = None
    limits: tuple[Limit, ...] = ()
    timeout_ms: int = 0
    max_timeout_ms: int = 0
    max_request_bytes: int = 0
    deprecated: bool = False
    deprecated_since_s: int = 0


class MissingMethods(TypeError):
    """A handler leaves methods of its service out."""


class Service(abc.ABC):
    """Base of the generated service bases.

    Making an instance of a subclass that leaves a method out raises MissingMethods.
    """

    service_name: ClassVar[str]
    methods: ClassVar[tuple[Method[Any, Any], ...]]

    def __new__(cls, *args: object, **options: object) -> Self:
        if cls.__abstractmethods__:
            paths = {method.attribute: method.path for method in cls.methods}
            lacking = ", ".join(
                f"{name} ({paths.get(name, 'no method of the schema')})" for name in sorted(cls.__abstractmethods__)
            )
            raise MissingMethods(f"{cls.__module__}.{cls.__qualname__} lacks {lacking}")
        return super().__new__(cls)
