"""Who calls, from where, and until when: what a handler knows of a call besides its request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, cast

import structlog
from structlog.typing import FilteringBoundLogger

from runtime.rpc.errors import Code, RpcError
from runtime.rpc.limits import NO_DRAWS, Draws
from runtime.rpc.metadata import CallMetadata, Metadata, ResponseMetadata


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a token belongs to, as the application's Authenticator says."""

    user_id: int
    session_id: int
    is_admin: bool = False


class Authenticator(Protocol):
    """The application's answer to: who does this token belong to?"""

    async def authenticate(self, token: str) -> Identity | None:
        """The identity behind a token, None for one that is unknown, expired or revoked. Must not log the token."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """`deadline` is on the event loop's clock (seconds).

    `device` is what the client says of itself and proves nothing.
    """

    method: str
    identity: Identity | None
    address: str
    device: str
    deadline: float
    call_id: str
    metadata: CallMetadata = field(default_factory=CallMetadata, repr=False)
    draws: Draws = field(default=NO_DRAWS, repr=False)

    async def draw(self, limit: str, key: str) -> None:
        """Takes a token for `key` from a limit that the schema declares `per: PER_KEY` and the method names.

        What the limit says of failures and successes holds for it too. Raises RateLimited when the bucket is empty, and
        LookupError for a limit that the method does not name.
        """
        await self.draws.draw(limit, key)

    @property
    def request_headers(self) -> Metadata:
        """The headers of the HTTP request, or of the call's frame on the WebSocket."""
        return self.metadata.request

    @property
    def response_headers(self) -> ResponseMetadata:
        """What goes before the answer. A stream's are sent with its first message: later ones are lost."""
        return self.metadata.headers

    @property
    def response_trailers(self) -> ResponseMetadata:
        """What goes after the answer."""
        return self.metadata.trailers

    @property
    def log(self) -> FilteringBoundLogger:
        """A logger that names the method and the call."""
        return cast(FilteringBoundLogger, structlog.get_logger(method=self.method, call_id=self.call_id))

    @property
    def user_id(self) -> int:
        """The caller.

        Raises RpcError (unauthenticated) for an anonymous one; the gateway keeps those out unless the schema lets them
        in.
        """
        return self.signed_in.user_id

    @property
    def signed_in(self) -> Identity:
        """The caller's identity. Raises RpcError (unauthenticated)."""
        if self.identity is None:
            raise RpcError(Code.UNAUTHENTICATED, "sign in first")
        return self.identity
