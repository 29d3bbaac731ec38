"""The `connectrpc` package of PyPI against a gateway: `python connect_pypi.py URL`, in an environment that has it.

docs/conformance.md says how to run it. It is no test module: the package is not among the project's dependencies.
"""

# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
from __future__ import annotations

import sys

from connectrpc.client import ConnectClientSync, ResponseMetadata
from connectrpc.code import Code
from connectrpc.compat import google_protobuf_binary_codec, google_protobuf_json_codec
from connectrpc.errors import ConnectError
from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from google.protobuf.wrappers_pb2 import StringValue

NAME = "test.v1.TestService"


def method(name: str, kind: StreamType = StreamType.UNARY, pure: bool = False) -> MethodInfo:
    level = IdempotencyLevel.NO_SIDE_EFFECTS if pure else IdempotencyLevel.UNKNOWN
    return MethodInfo(
        name=name, service_name=NAME, input=StringValue, output=StringValue, stream_type=kind, idempotency_level=level
    )


def check(url: str, codec: object) -> None:
    with ConnectClientSync(url, codec=codec) as client:

        def call(name: str, value: str, pure: bool = False, use_get: bool = False, **more: object) -> str:
            request = StringValue(value=value)
            return client.execute_unary(request=request, method=method(name, pure=pure), use_get=use_get, **more).value

        def stream(value: str, **more: object) -> list[str]:
            kind = method("Count", StreamType.SERVER_STREAM)
            found = client.execute_server_stream(request=StringValue(value=value), method=kind, **more)
            return [message.value for message in found]

        def code(run: object, *arguments: object, **more: object) -> Code:
            try:
                run(*arguments, **more)  # type: ignore[operator]
            except ConnectError as error:
                return error.code
            raise AssertionError("no error")

        long = "hä " * 500
        assert call("Echo", long, headers={"authorization": "Bearer alice"}) == long
        assert code(call, "Echo", "x") == Code.UNAUTHENTICATED
        assert code(call, "Fail", "taken") == Code.ALREADY_EXISTS
        assert code(call, "Wait", "", timeout_ms=50) == Code.DEADLINE_EXCEEDED
        for use_get in (True, False):
            assert call("Look", "a+b/c ?&=ä", pure=True, use_get=use_get) == "a+b/c ?&=ä"
        with ResponseMetadata() as metadata:
            call("Metadata", "fine", pure=True, headers={"acme-shard": "42"})
        assert metadata.headers["acme-shard"] == metadata.trailers["acme-shard"] == "42"
        with ResponseMetadata() as metadata:
            assert stream("3") == ["0", "1", "2"]
        assert (metadata.headers["acme-began"], metadata.trailers["acme-counted"]) == ("yes", "3")
        assert [len(value) for value in stream("2 x 100000")] == [100_001, 100_001]
        assert code(stream, "2 taken") == Code.ALREADY_EXISTS
        assert code(stream, "1 wait", timeout_ms=50) == Code.DEADLINE_EXCEEDED


if __name__ == "__main__":
    for name, codec in (("proto", google_protobuf_binary_codec()), ("json", google_protobuf_json_codec())):
        check(sys.argv[1], codec)
        print(f"ok  connectrpc, {name}")
