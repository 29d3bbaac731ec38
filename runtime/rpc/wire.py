"""The frames of the WebSocket as values, and their two spellings: `sun.v1+proto` (binary) and `sun.v1+json` (text).

What the frames mean is in runtime/schema/proto/sun/wire.proto; when they are sent, in websocket.py.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, cast

import msgspec
from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message

from runtime.generated.proto.sun import options_pb2, wire_pb2
from runtime.rpc.codecs import JSON, PROTO, Codec
from runtime.rpc.connect import detail_to_any
from runtime.rpc.errors import Code, Detail, RpcError

MAX_NAME_CHARS = 64
"""Characters of a call id and of a device's name."""

FRAME_OVERHEAD_BYTES = 4096
"""What a frame may be larger than the message in it."""


class Hello(NamedTuple):
    token: str
    device: str
    client: str


class Call(NamedTuple):
    """`request` is encoded with the wire's codec. `timeout_ms` 0 leaves the limit to the server."""

    id: str
    method: str
    request: bytes
    timeout_ms: int
    traceparent: str = ""


class Cancel(NamedTuple):
    id: str


class Welcome(NamedTuple):
    connection_id: str
    user_id: int
    max_message_bytes: int


class Reply(NamedTuple):
    """Exactly one of `response` (encoded with the wire's codec) and `error` is there."""

    id: str
    response: bytes
    error: RpcError | None


class Goodbye(NamedTuple):
    reason: str


ClientFrame = Hello | Call | Cancel
ServerFrame = Welcome | Reply | Goodbye


class BadFrame(Exception):
    """A message is no frame of its subprotocol. The text repeats nothing of it."""


class Wire(Protocol):
    """One subprotocol. Decoding raises BadFrame."""

    @property
    def subprotocol(self) -> str: ...
    @property
    def binary(self) -> bool: ...
    @property
    def codec(self) -> Codec: ...

    def from_client(self, message: bytes | str) -> ClientFrame: ...
    def from_server(self, message: bytes | str) -> ServerFrame: ...
    def to_server(self, frame: ClientFrame) -> bytes: ...
    def to_client(self, frame: ServerFrame) -> bytes: ...


class _ProtoWire:
    subprotocol = "sun.v1+proto"
    binary = True
    codec = PROTO

    def from_client(self, message: bytes | str) -> ClientFrame:
        if isinstance(message, str):
            raise BadFrame(f"{self.subprotocol} takes binary messages")
        try:
            frame = wire_pb2.ClientFrame.FromString(message)
        except DecodeError as error:
            raise BadFrame("no sun.ClientFrame") from error
        kind = frame.WhichOneof("frame")
        if kind == "call":
            call = frame.call
            return Call(call.id, call.method, call.request, call.timeout_ms, call.traceparent)
        if kind == "cancel":
            return Cancel(frame.cancel.id)
        if kind == "hello":
            return Hello(frame.hello.token, frame.hello.device, frame.hello.client)
        raise BadFrame("an empty sun.ClientFrame")

    def from_server(self, message: bytes | str) -> ServerFrame:
        if isinstance(message, str):
            raise BadFrame(f"{self.subprotocol} takes binary messages")
        try:
            frame = wire_pb2.ServerFrame.FromString(message)
        except DecodeError as error:
            raise BadFrame("no sun.ServerFrame") from error
        kind = frame.WhichOneof("frame")
        if kind == "reply":
            reply = frame.reply
            error = _error_from_proto(reply.error) if reply.WhichOneof("result") == "error" else None
            return Reply(reply.id, reply.response, error)
        if kind == "welcome":
            return Welcome(frame.welcome.connection_id, frame.welcome.user_id, frame.welcome.max_message_bytes)
        if kind == "goodbye":
            return Goodbye(frame.goodbye.reason)
        raise BadFrame("an unknown sun.ServerFrame")

    def to_server(self, frame: ClientFrame) -> bytes:
        return _client_frame(frame).SerializeToString()

    def to_client(self, frame: ServerFrame) -> bytes:
        return _server_frame(frame).SerializeToString()


class _JsonHello(msgspec.Struct):
    token: str = ""
    device: str = ""
    client: str = ""


class _JsonCall(msgspec.Struct):
    id: str = ""
    method: str = ""
    request: msgspec.Raw = msgspec.Raw(b"{}")
    timeoutMs: int = 0
    timeout_ms: int = 0
    traceparent: str = ""


class _JsonCancel(msgspec.Struct):
    id: str = ""


class _JsonClientFrame(msgspec.Struct):
    hello: _JsonHello | None = None
    call: _JsonCall | None = None
    cancel: _JsonCancel | None = None


class _JsonWelcome(msgspec.Struct):
    connectionId: str = ""
    userId: int = 0
    maxMessageBytes: int = 0


class _JsonReply(msgspec.Struct):
    id: str = ""
    response: msgspec.Raw = msgspec.Raw(b"{}")
    error: msgspec.Raw = msgspec.Raw(b"")


class _JsonGoodbye(msgspec.Struct):
    reason: str = ""


class _JsonServerFrame(msgspec.Struct):
    welcome: _JsonWelcome | None = None
    reply: _JsonReply | None = None
    goodbye: _JsonGoodbye | None = None


class _JsonWire:
    subprotocol = "sun.v1+json"
    binary = False
    codec = JSON

    def __init__(self) -> None:
        # Not strict: protobuf's JSON writes 64-bit integers as strings, and readers take every integer as one.
        self._client = msgspec.json.Decoder(_JsonClientFrame, strict=False)
        self._server = msgspec.json.Decoder(_JsonServerFrame, strict=False)

    def from_client(self, message: bytes | str) -> ClientFrame:
        if isinstance(message, bytes):
            raise BadFrame(f"{self.subprotocol} takes text messages")
        try:
            frame = self._client.decode(message)
        except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
            raise BadFrame("no sun.ClientFrame in JSON") from error
        call, cancel, hello = frame.call, frame.cancel, frame.hello
        if (call is not None) + (cancel is not None) + (hello is not None) != 1:
            raise BadFrame("a frame is one of hello, call and cancel")
        if call is not None:
            timeout_ms = call.timeoutMs or call.timeout_ms
            if not 0 <= timeout_ms < 1 << 32:
                raise BadFrame("timeoutMs is no uint32")
            return Call(call.id, call.method, bytes(call.request), timeout_ms, call.traceparent)
        if cancel is not None:
            return Cancel(cancel.id)
        assert hello is not None
        return Hello(hello.token, hello.device, hello.client)

    def from_server(self, message: bytes | str) -> ServerFrame:
        try:
            frame = self._server.decode(message)
        except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
            raise BadFrame("no sun.ServerFrame in JSON") from error
        if frame.reply is not None:
            reply = frame.reply
            text = bytes(reply.error)
            error = _error_from_json(text) if text else None
            return Reply(reply.id, bytes(reply.response), error)
        if frame.welcome is not None:
            return Welcome(frame.welcome.connectionId, frame.welcome.userId, frame.welcome.maxMessageBytes)
        if frame.goodbye is not None:
            return Goodbye(frame.goodbye.reason)
        raise BadFrame("an unknown sun.ServerFrame")

    def to_server(self, frame: ClientFrame) -> bytes:
        if isinstance(frame, Call):
            call = {"id": frame.id, "method": frame.method, "request": msgspec.Raw(frame.request)}
            return msgspec.json.encode(
                {"call": {**call, "timeoutMs": frame.timeout_ms, "traceparent": frame.traceparent}}
            )
        return _json(_client_frame(frame))

    def to_client(self, frame: ServerFrame) -> bytes:
        if isinstance(frame, Reply) and frame.error is None:
            return b'{"reply":{"id":%b,"response":%b}}' % (msgspec.json.encode(frame.id), frame.response)
        try:
            return _json(_server_frame(frame))
        except (TypeError, json_format.Error):
            # Any has a JSON form only for types that are linked in; the code and the message matter more.
            bare = _server_frame(frame)
            bare.reply.error.ClearField("details")
            return _json(bare)


PROTO_WIRE: Wire = cast(Wire, _ProtoWire())
JSON_WIRE: Wire = cast(Wire, _JsonWire())
WIRES: dict[str, Wire] = {wire.subprotocol: wire for wire in (PROTO_WIRE, JSON_WIRE)}


def _client_frame(frame: ClientFrame) -> wire_pb2.ClientFrame:
    if isinstance(frame, Call):
        call = wire_pb2.Call(
            id=frame.id,
            method=frame.method,
            request=frame.request,
            timeout_ms=frame.timeout_ms,
            traceparent=frame.traceparent,
        )
        return wire_pb2.ClientFrame(call=call)
    if isinstance(frame, Cancel):
        return wire_pb2.ClientFrame(cancel=wire_pb2.Cancel(id=frame.id))
    return wire_pb2.ClientFrame(hello=wire_pb2.Hello(token=frame.token, device=frame.device, client=frame.client))


def _server_frame(frame: ServerFrame) -> wire_pb2.ServerFrame:
    if isinstance(frame, Reply):
        if frame.error is None:
            # Set in place: a Reply of its own would be copied into the frame.
            made = wire_pb2.ServerFrame()
            reply = made.reply
            reply.id = frame.id
            reply.response = frame.response
            return made
        return wire_pb2.ServerFrame(reply=wire_pb2.Reply(id=frame.id, error=_error_to_proto(frame.error)))
    if isinstance(frame, Welcome):
        return wire_pb2.ServerFrame(
            welcome=wire_pb2.Welcome(
                connection_id=frame.connection_id, user_id=frame.user_id, max_message_bytes=frame.max_message_bytes
            )
        )
    return wire_pb2.ServerFrame(goodbye=wire_pb2.Goodbye(reason=frame.reason))


def _error_to_proto(error: RpcError) -> wire_pb2.Error:
    return wire_pb2.Error(
        code=cast(options_pb2.Code, error.code.number),
        message=error.message,
        details=[detail_to_any(detail) for detail in error.details],
    )


def _error_from_proto(error: wire_pb2.Error) -> RpcError:
    details = [Detail(detail.type_url.rpartition("/")[2], detail.value) for detail in error.details]
    return RpcError(Code.from_number(int(error.code)), error.message, details)


def _error_from_json(text: bytes) -> RpcError:
    error = wire_pb2.Error()
    try:
        json_format.Parse(text, error, ignore_unknown_fields=True)
    except (json_format.ParseError, ValueError, RecursionError):
        # Details of types that are not linked in can't be read from JSON; the code and the message can.
        found: dict[str, Any] = msgspec.json.decode(text)
        found.pop("details", None)
        error = json_format.ParseDict(found, wire_pb2.Error(), ignore_unknown_fields=True)
    return _error_from_proto(error)


def _json(message: Message) -> bytes:
    return msgspec.json.encode(json_format.MessageToDict(message))
