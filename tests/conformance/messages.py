"""The messages of the Connect conformance suite, from the .proto files that come with its runner; none is kept here.

SUN_TEST_CONFORMANCE_PROTO names the folder that those files are in.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import grpc_tools
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_tools import protoc

_FILES = ("config", "service", "server_compat")
_PACKAGE = "connectrpc.conformance.v1"


def load() -> None:
    """Makes every message known. Raises RuntimeError when the files can't be compiled."""
    folder = Path(os.environ["SUN_TEST_CONFORMANCE_PROTO"])
    common = Path(grpc_tools.__file__).parent / "_proto"
    with tempfile.TemporaryDirectory() as scratch:
        compiled = Path(scratch) / "set"
        names = [f"connectrpc/conformance/v1/{name}.proto" for name in _FILES]
        options = [f"-I{folder}", f"-I{common}", "--include_imports", f"--descriptor_set_out={compiled}"]
        if protoc.main(["protoc", *options, *names]) != 0:
            raise RuntimeError(f"protoc refuses the files in {folder}")
        files = descriptor_pb2.FileDescriptorSet.FromString(compiled.read_bytes())
    pool = descriptor_pool.Default()
    for file in files.file:
        if not _is_known(pool, file.name):
            pool.Add(file)


def message(name: str) -> Any:
    """The class of a message: `UnaryRequest`."""
    return message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(f"{_PACKAGE}.{name}"))


def _is_known(pool: descriptor_pool.DescriptorPool, name: str) -> bool:
    try:
        pool.FindFileByName(name)
    except KeyError:
        return False
    return True
