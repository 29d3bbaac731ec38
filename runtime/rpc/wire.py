"""The frames of the WebSocket as values, and their two spellings: `sun.v1+proto` (binary) and `sun.v1+json` (text).

What the frames mean is in runtime/schema/proto/sun/wire.proto; when they are sent, in websocket.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
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

NO_HEADERS: Mapping[str, str] = MappingProxyType({})

FRAME_OVERHEAD_BYTES = 4096
"""What a frame may be larger than the message in it."""


class Resume(NamedTuple):
    """The last push that the client has dealt with."""

    epoch: int
    counter: int


class Hello(NamedTuple):
    token: str
    device: str
    client: str
    resume: Resume | None = None


class Call(NamedTuple):
    """`request` is encoded with the wire's codec. `timeout_ms` 0 leaves the limit to the server.

    `key` makes the call safe to repeat; `headers` have names in lower case.
    """

    id: str
    method: str
    request: bytes
    timeout_ms: int
    key: str = ""
    headers: Mapping[str, str] = NO_HEADERS


class Cancel(NamedTuple):
    id: str


class PushAck(NamedTuple):
    counter: int


class Welcome(NamedTuple):
    """Pushes follow `counter` of `epoch`; with `reload` some before it are lost to this client."""

    connection_id: str
    user_id: int
    max_message_bytes: int
    epoch: int = 0
    counter: int = 0
    reload: bool = False


class Reply(NamedTuple):
    """Exactly one of `response` (encoded with the wire's codec) and `error` is there."""

    id: str
    response: bytes
    error: RpcError | None


class Goodbye(NamedTuple):
    reason: str


class Received(NamedTuple):
    """The server will run the call of this id to its end."""

    id: str


class Push(NamedTuple):
    """`payload` is a message of `type`, encoded with the wire's codec. `counter` is 0 for what is not repeated."""

    counter: int
    type: str
    payload: bytes


ClientFrame = Hello | Call | Cancel | PushAck
ServerFrame = Welcome | Reply | Goodbye | Received | Push


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
            headers = dict(call.headers) if call.headers else NO_HEADERS
            return Call(call.id, call.method, call.request, call.timeout_ms, call.key, headers)
        if kind == "cancel":
            return Cancel(frame.cancel.id)
        if kind == "push_ack":
            return PushAck(frame.push_ack.counter)
        if kind == "hello":
            hello = frame.hello
            resume = Resume(hello.resume.epoch, hello.resume.counter) if hello.HasField("resume") else None
            return Hello(hello.token, hello.device, hello.client, resume)
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
            error = error_from_proto(reply.error) if reply.WhichOneof("result") == "error" else None
            return Reply(reply.id, reply.response, error)
        if kind == "push":
            return Push(frame.push.counter, frame.push.type, frame.push.payload)
        if kind == "received":
            return Received(frame.received.id)
        if kind == "welcome":
            made = frame.welcome
            return Welcome(
                made.connection_id, made.user_id, made.max_message_bytes, made.epoch, made.counter, made.reload
            )
        if kind == "goodbye":
            return Goodbye(frame.goodbye.reason)
        raise BadFrame("an unknown sun.ServerFrame")

    def to_server(self, frame: ClientFrame) -> bytes:
        return _client_frame(frame).SerializeToString()

    def to_client(self, frame: ServerFrame) -> bytes:
        return _server_frame(frame).SerializeToString()


class _JsonResume(msgspec.Struct):
    epoch: int = 0
    counter: int = 0


class _JsonHello(msgspec.Struct):
    token: str = ""
    device: str = ""
    client: str = ""
    resume: _JsonResume | None = None


class _JsonCall(msgspec.Struct):
    id: str = ""
    method: str = ""
    request: msgspec.Raw = msgspec.Raw(b"{}")
    timeoutMs: int = 0
    timeout_ms: int = 0
    key: str = ""
    headers: dict[str, str] | None = None


class _JsonCancel(msgspec.Struct):
    id: str = ""


class _JsonPushAck(msgspec.Struct):
    counter: int = 0


class _JsonClientFrame(msgspec.Struct):
    hello: _JsonHello | None = None
    call: _JsonCall | None = None
    cancel: _JsonCancel | None = None
    pushAck: _JsonPushAck | None = None
    push_ack: _JsonPushAck | None = None


class _JsonWelcome(msgspec.Struct):
    connectionId: str = ""
    userId: int = 0
    maxMessageBytes: int = 0
    epoch: int = 0
    counter: int = 0
    reload: bool = False


class _JsonReply(msgspec.Struct):
    id: str = ""
    response: msgspec.Raw = msgspec.Raw(b"{}")
    error: msgspec.Raw = msgspec.Raw(b"")


class _JsonGoodbye(msgspec.Struct):
    reason: str = ""


class _JsonReceived(msgspec.Struct):
    id: str = ""


class _JsonPush(msgspec.Struct):
    counter: int = 0
    type: str = ""
    payload: msgspec.Raw = msgspec.Raw(b"{}")


class _JsonServerFrame(msgspec.Struct):
    welcome: _JsonWelcome | None = None
    reply: _JsonReply | None = None
    goodbye: _JsonGoodbye | None = None
    received: _JsonReceived | None = None
    push: _JsonPush | None = None


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
        call, cancel, hello, ack = frame.call, frame.cancel, frame.hello, frame.pushAck or frame.push_ack
        if (call is not None) + (cancel is not None) + (hello is not None) + (ack is not None) != 1:
            raise BadFrame("a frame is one of hello, call, cancel and pushAck")
        if call is not None:
            timeout_ms = call.timeoutMs or call.timeout_ms
            if not 0 <= timeout_ms < 1 << 32:
                raise BadFrame("timeoutMs is no uint32")
            return Call(call.id, call.method, bytes(call.request), timeout_ms, call.key, call.headers or NO_HEADERS)
        if cancel is not None:
            return Cancel(cancel.id)
        if ack is not None:
            return PushAck(ack.counter)
        assert hello is not None
        resume = Resume(hello.resume.epoch, hello.resume.counter) if hello.resume is not None else None
        return Hello(hello.token, hello.device, hello.client, resume)

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
        if frame.push is not None:
            return Push(frame.push.counter, frame.push.type, bytes(frame.push.payload))
        if frame.received is not None:
            return Received(frame.received.id)
        if frame.welcome is not None:
            made = frame.welcome
            return Welcome(made.connectionId, made.userId, made.maxMessageBytes, made.epoch, made.counter, made.reload)
        if frame.goodbye is not None:
            return Goodbye(frame.goodbye.reason)
        raise BadFrame("an unknown sun.ServerFrame")

    def to_server(self, frame: ClientFrame) -> bytes:
        if isinstance(frame, Call):
            call = {"id": frame.id, "method": frame.method, "request": msgspec.Raw(frame.request)}
            more = {"timeoutMs": frame.timeout_ms, "key": frame.key, "headers": dict(frame.headers)}
            return msgspec.json.encode({"call": {**call, **{name: value for name, value in more.items() if value}}})
        return _json(_client_frame(frame))

    def to_client(self, frame: ServerFrame) -> bytes:
        if isinstance(frame, Reply) and frame.error is None:
            return b'{"reply":{"id":%b,"response":%b}}' % (msgspec.json.encode(frame.id), frame.response)
        if isinstance(frame, Push):
            kind = msgspec.json.encode(frame.type)
            return b'{"push":{"counter":"%d","type":%b,"payload":%b}}' % (frame.counter, kind, frame.payload)
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
            key=frame.key,
            headers=dict(frame.headers),
        )
        return wire_pb2.ClientFrame(call=call)
    if isinstance(frame, Cancel):
        return wire_pb2.ClientFrame(cancel=wire_pb2.Cancel(id=frame.id))
    if isinstance(frame, PushAck):
        return wire_pb2.ClientFrame(push_ack=wire_pb2.PushAck(counter=frame.counter))
    hello = wire_pb2.Hello(token=frame.token, device=frame.device, client=frame.client)
    if frame.resume is not None:
        # Both may be zero, and must be there all the same.
        hello.resume.SetInParent()
        hello.resume.epoch, hello.resume.counter = frame.resume
    return wire_pb2.ClientFrame(hello=hello)


def _server_frame(frame: ServerFrame) -> wire_pb2.ServerFrame:
    if isinstance(frame, Reply):
        if frame.error is None:
            # Set in place: a Reply of its own would be copied into the frame.
            made = wire_pb2.ServerFrame()
            reply = made.reply
            reply.id = frame.id
            reply.response = frame.response
            return made
        return wire_pb2.ServerFrame(reply=wire_pb2.Reply(id=frame.id, error=error_to_proto(frame.error)))
    if isinstance(frame, Welcome):
        return wire_pb2.ServerFrame(
            welcome=wire_pb2.Welcome(
                connection_id=frame.connection_id,
                user_id=frame.user_id,
                max_message_bytes=frame.max_message_bytes,
                epoch=frame.epoch,
                counter=frame.counter,
                reload=frame.reload,
            )
        )
    if isinstance(frame, Push):
        return wire_pb2.ServerFrame(push=wire_pb2.Push(counter=frame.counter, type=frame.type, payload=frame.payload))
    if isinstance(frame, Received):
        return wire_pb2.ServerFrame(received=wire_pb2.Received(id=frame.id))
    return wire_pb2.ServerFrame(goodbye=wire_pb2.Goodbye(reason=frame.reason))


def error_to_proto(error: RpcError) -> wire_pb2.Error:
    """The error as a frame carries it."""
    return wire_pb2.Error(
        code=cast(options_pb2.Code, error.code.number),
        message=error.message,
        details=[detail_to_any(detail) for detail in error.details],
    )


def error_from_proto(error: wire_pb2.Error) -> RpcError:
    """What `error_to_proto` was given, without its Python type."""
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
    return error_from_proto(error)


def _json(message: Message) -> bytes:
    return msgspec.json.encode(json_format.MessageToDict(message))
