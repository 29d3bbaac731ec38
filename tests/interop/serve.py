"""Serves the tests' own service for clients that are not ours: `python -m tests.interop.serve FILE`.

Writes a descriptor set of the service to FILE, which clients without generated code read, prints its URL and serves
until SIGTERM.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from google.protobuf import wrappers_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet, MethodOptions

from runtime.logs import configure_logging
from runtime.rpc.dispatcher import Dispatcher
from runtime.rpc.server import Gateway
from runtime.rpc.settings import GatewaySettings
from tests.rpc.gateways import METHODS, NAME, Handler, Tokens


def descriptors() -> FileDescriptorSet:
    """The service as a schema would declare it."""
    package, _, service_name = NAME.rpartition(".")
    file = FileDescriptorProto(name="test.proto", package=package, syntax="proto3")
    file.dependency.append("google/protobuf/wrappers.proto")
    service = file.service.add(name=service_name)
    for each in METHODS:
        method = service.method.add(name=each.path.rpartition("/")[2], server_streaming=each.server_streaming)
        method.input_type = f".{each.request.DESCRIPTOR.full_name}"
        method.output_type = f".{each.response.DESCRIPTOR.full_name}"
        if not each.side_effects:
            method.options.idempotency_level = MethodOptions.NO_SIDE_EFFECTS
    wrappers = FileDescriptorProto.FromString(wrappers_pb2.DESCRIPTOR.serialized_pb)
    return FileDescriptorSet(file=[wrappers, file])


async def serve() -> None:
    configure_logging("console", "warning", sys.stderr)
    settings = GatewaySettings(port=0, allowed_origins=("*",), gzip_min_bytes=16, explorer=True)
    gateway = Gateway(Dispatcher([Handler()], Tokens(), settings=settings), settings)
    address = await gateway.start()
    print(address.url, flush=True)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await gateway.drain()


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(descriptors().SerializeToString())
    asyncio.run(serve())
