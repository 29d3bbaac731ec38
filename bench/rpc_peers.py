"""The peers of the RPC benchmark as processes: `python -m bench.rpc_peers tornado|grpc` prints its port and serves."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable

import grpc.aio
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler

from bench.harness import runner
from generated.proto.sun.v1.general_pb2 import EchoRequest, EchoResponse

ECHO = "sun.v1.GeneralService/Echo"


class HttpEcho(RequestHandler):
    def post(self) -> None:
        self.set_header("Content-Type", "application/proto")
        self.write(self.request.body)


class WebSocketEcho(WebSocketHandler):
    def on_message(self, message: str | bytes) -> None:
        self.write_message(message, binary=True)


class GrpcEcho(grpc.GenericRpcHandler):
    """The same method and messages as ours, as protoc's gRPC plugin would register it."""

    def __init__(self) -> None:
        self._echo = grpc.unary_unary_rpc_method_handler(
            self._answer,
            request_deserializer=EchoRequest.FromString,
            response_serializer=EchoResponse.SerializeToString,
        )

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        return self._echo if handler_call_details.method == f"/{ECHO}" else None

    async def _answer(self, request: EchoRequest, context: object) -> EchoResponse:
        return EchoResponse(text=request.text)


async def serve_tornado() -> None:
    # Requests are not logged: what a bare server would not do, ours does for it.
    logging.getLogger("tornado.access").setLevel(logging.ERROR)
    server = HTTPServer(Application([(f"/{ECHO}", HttpEcho), ("/ws", WebSocketEcho)]))
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    print(sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


async def serve_grpc() -> None:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((GrpcEcho(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


SERVERS: dict[str, Callable[[], Awaitable[None]]] = {"tornado": serve_tornado, "grpc": serve_grpc}

if __name__ == "__main__":
    with runner() as loop:
        loop.run(SERVERS[sys.argv[1]]())  # pyright: ignore[reportArgumentType]
