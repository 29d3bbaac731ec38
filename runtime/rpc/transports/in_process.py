"""Calls a dispatcher of the same process: no network, but everything else: encoding, permission, deadline."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator

from runtime.rpc.client import A, Endpoint, Q
from runtime.rpc.codecs import PROTO
from runtime.rpc.dispatcher import Caller, Dispatcher
from runtime.rpc.errors import RpcError
from runtime.rpc.transports.repeat import declared


class InProcessTransport:
    """A Transport. `token` is checked by the dispatcher's Authenticator as that of a socket would be."""

    def __init__(self, dispatcher: Dispatcher, token: str = "", device: str = "", address: str = "127.0.0.1") -> None:
        self._dispatcher = dispatcher
        self._caller = Caller("in_process", address, device, token)
        self._ids = itertools.count(1)

    async def call(self, method: Endpoint[Q, A], request: Q, timeout_ms: int | None, key: str = "") -> A:
        """Raises RpcError; the errors that the method declares in their own types.

        Nothing gets lost on the way, so nothing is repeated; of the calls with one `key` the first runs all the same.
        """
        call_id = f"local-{next(self._ids):x}"
        try:
            payload = request.SerializeToString()
            answer = await self._dispatcher.call(
                method.path, PROTO, payload, self._caller, timeout_ms or 0, call_id, key=key
            )
        except RpcError as error:
            raise declared(error, method) from error
        return method.response.FromString(answer)

    async def stream(self, method: Endpoint[Q, A], request: Q, timeout_ms: int | None) -> AsyncGenerator[A, None]:
        """Raises RpcError as `call` does, also between messages."""
        messages: asyncio.Queue[bytes | None] = asyncio.Queue()

        async def send(message: bytes) -> None:
            messages.put_nowait(message)
            # The handler goes on when its reader comes back for the next.
            await messages.join()

        call_id = f"local-{next(self._ids):x}"
        payload = request.SerializeToString()
        running = asyncio.create_task(
            self._dispatcher.stream(method.path, PROTO, payload, self._caller, send, timeout_ms or 0, call_id)
        )
        running.add_done_callback(lambda _: messages.put_nowait(None))
        try:
            while (message := await messages.get()) is not None:
                yield method.response.FromString(message)
                messages.task_done()
            await running
        except RpcError as error:
            raise declared(error, method) from error
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
