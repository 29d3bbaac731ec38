"""What a log may repeat of a message: everything but the fields that the schema marks."""

from __future__ import annotations

import asyncio
import json
from io import StringIO
from typing import Any, cast

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import StringValue

from runtime.logs import configure_logging
from runtime.rpc.codecs import PROTO
from runtime.rpc.context import Context
from runtime.rpc.dispatcher import Caller, Dispatcher
from runtime.rpc.errors import RpcError
from runtime.rpc.redaction import secrets_in, shown, without
from runtime.rpc.service import Callers, Method, Service
from runtime.rpc.settings import GatewaySettings
from tests.rpc.gateways import Tokens

Field = descriptor_pb2.FieldDescriptorProto
SECRET = 'hunter2 is my\npassw"ord'


def _kinds() -> tuple[type[Message], type[Message]]:
    """`Inner` has a marked text. `Outer` has that, many of it, a map of it, and marked fields of every shape."""
    file = descriptor_pb2.FileDescriptorProto(name="redaction.proto", package="redaction", syntax="proto3")
    inner = file.message_type.add(name="Inner")
    _field(inner, "name", Field.TYPE_STRING)
    _field(inner, "key", Field.TYPE_STRING, marked=True)
    outer = file.message_type.add(name="Outer")
    entry = outer.nested_type.add(name="ByNameEntry")
    entry.options.map_entry = True
    _field(entry, "key", Field.TYPE_STRING)
    _field(entry, "value", Field.TYPE_MESSAGE, kind=".redaction.Inner")
    _field(outer, "title", Field.TYPE_STRING)
    _field(outer, "data", Field.TYPE_BYTES)
    _field(outer, "inner", Field.TYPE_MESSAGE, kind=".redaction.Inner")
    _field(outer, "many", Field.TYPE_MESSAGE, kind=".redaction.Inner", repeated=True)
    _field(outer, "by_name", Field.TYPE_MESSAGE, kind=".redaction.Outer.ByNameEntry", repeated=True)
    _field(outer, "pins", Field.TYPE_INT64, marked=True, repeated=True)
    _field(outer, "blob", Field.TYPE_BYTES, marked=True)
    _field(outer, "hidden", Field.TYPE_MESSAGE, kind=".redaction.Inner", marked=True)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)  # pyright: ignore[reportUnknownMemberType]
    found = [pool.FindMessageTypeByName(f"redaction.{name}") for name in ("Outer", "Inner")]
    return cast("tuple[type[Message], type[Message]]", tuple(map(message_factory.GetMessageClass, found)))


def _field(
    message: descriptor_pb2.DescriptorProto,
    name: str,
    type: Field.Type.ValueType,
    kind: str = "",
    marked: bool = False,
    repeated: bool = False,
) -> None:
    label = Field.LABEL_REPEATED if repeated else Field.LABEL_OPTIONAL
    field = message.field.add(name=name, number=len(message.field) + 1, type=type, label=label, type_name=kind or None)
    if marked:
        field.options.debug_redact = True


OUTER, INNER = cast("tuple[Any, Any]", _kinds())


@pytest.fixture
def message() -> Any:
    inner = INNER(name="n", key=SECRET)
    return OUTER(
        title="t" * 300,
        data=b"12345",
        inner=inner,
        many=[inner, inner],
        by_name={"k": inner},
        pins=[987654, 3],
        blob=b"blobsecret",
        hidden=INNER(name="deep secret"),
    )


def test_marked_fields_are_replaced_at_any_depth(message: Any) -> None:
    inner = {"name": "n", "key": "[redacted]"}
    assert shown(message) == {
        "title": "t" * 200 + "…",
        "data": "5 bytes",
        "inner": inner,
        "many": [inner, inner],
        "by_name": {"k": inner},
        "pins": "[redacted]",
        "blob": "[redacted]",
        "hidden": "[redacted]",
    }


def test_their_values_are_known(message: Any) -> None:
    assert set(secrets_in(message)) == {SECRET, "987654", "3", "blobsecret", b"blobsecret".hex(), "deep secret"}


def test_they_are_taken_out_of_texts(message: Any) -> None:
    text = without(f"{SECRET} and {SECRET!r} and 987654 of 3", secrets_in(message))
    assert text == "[redacted] and '[redacted]' and [redacted] of 3"


class Careless(Service):
    """Raises what it was given."""

    service_name = "test.v1.CarelessService"
    methods = (Method("test.v1.CarelessService/Take", "take", OUTER, StringValue, Callers.ANYONE),)

    async def take(self, request: Any, ctx: Context) -> StringValue:
        raise RuntimeError(f"can't use {request.inner.key!r} of {ctx.log}")


def test_what_a_handler_raises_is_logged_without_them(message: Any) -> None:
    log = StringIO()
    configure_logging("json", "debug", log)
    dispatcher = Dispatcher([Careless()], Tokens(), settings=GatewaySettings(log_requests=True))
    path = Careless.methods[0].path
    with pytest.raises(RpcError, match="internal error"):
        asyncio.run(dispatcher.call(path, PROTO, message.SerializeToString(), Caller("test", "", token="alice")))
    lines = [line for line in map(json.loads, log.getvalue().splitlines()) if "method" in line]
    assert [line["event"] for line in lines] == ["request", "call failed", "rpc"]
    assert lines[0]["fields"]["inner"] == {"name": "n", "key": "[redacted]"}
    assert "RuntimeError: can't use '[redacted]'" in lines[1]["exception"]
    for secret in ("hunter2", "987654", "blobsecret", "deep secret", "alice"):
        assert secret not in log.getvalue()
