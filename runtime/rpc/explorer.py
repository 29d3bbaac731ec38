"""The page at / in development: lists the services and lets a person call a method with a form.

The page itself is in the folder explorer/. It loads nothing from elsewhere, and its policy lets no other script run.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import msgspec
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from tornado.web import RequestHandler

from runtime.rpc.pages import Page
from runtime.rpc.service import Callers, Method

_FOLDER = Path(__file__).with_suffix("")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_DEPTH = 2
"""Messages in messages that an example shows."""

_ZEROS = {
    FieldDescriptor.CPPTYPE_INT64: "0",
    FieldDescriptor.CPPTYPE_UINT64: "0",
    FieldDescriptor.CPPTYPE_BOOL: False,
    FieldDescriptor.CPPTYPE_STRING: "",
}


def explorer_pages(
    methods: Mapping[str, Method[Any, Any]],
) -> dict[str, tuple[type[RequestHandler], dict[str, object]]]:
    """The handlers of the page and of what it loads, by path."""
    listed = msgspec.json.encode([_described(methods[path]) for path in sorted(methods)])
    return {
        "/": (_Index, {"methods": methods, "page": (_FOLDER / "index.html").read_bytes()}),
        "/explorer.js": (_Part, {"content": (_FOLDER / "explorer.js").read_bytes(), "kind": "text/javascript"}),
        "/explorer.css": (_Part, {"content": (_FOLDER / "explorer.css").read_bytes(), "kind": "text/css"}),
        "/explorer.json": (_Part, {"content": listed, "kind": "application/json"}),
    }


def example(kind: type[Message]) -> Any:
    """A request in JSON with the fields that a person may fill in: the first of a oneof, none that is optional."""
    return _example(cast("Descriptor", kind.DESCRIPTOR), _DEPTH)


def _example(kind: Descriptor, depth: int) -> Any:
    if kind.full_name.startswith("google.protobuf."):
        return json_format.MessageToDict(message_factory.GetMessageClass(kind)())
    found: dict[str, Any] = {}
    for field in kind.fields:
        oneof = field.containing_oneof
        if oneof is None or (oneof.fields[0] is field and not oneof.name.startswith("_")):
            found[field.json_name] = _example_value(field, depth)
    return found


def _example_value(field: FieldDescriptor, depth: int) -> Any:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return {}
    if field.is_repeated:
        return []
    if field.message_type is not None:
        return _example(field.message_type, depth - 1) if depth else {}
    if field.enum_type is not None:
        return field.enum_type.values[0].name
    return _ZEROS.get(field.cpp_type, 0)


def _described(method: Method[Any, Any]) -> dict[str, Any]:
    return {
        "path": method.path,
        "request": method.request.DESCRIPTOR.full_name,
        "response": method.response.DESCRIPTOR.full_name,
        "stream": method.server_streaming,
        "callers": method.callers.value,
        "errors": [error.type_name for error in method.errors],
        "example": example(method.request),
    }


class _Part(RequestHandler):
    def initialize(self, content: bytes, kind: str) -> None:
        self._content = content
        self._kind = kind

    def get(self) -> None:
        _protect(self)
        self.set_header("Content-Type", f"{self._kind}; charset=utf-8")
        cast(Any, self).finish(self._content)


class _Index(Page):
    """The page for browsers; for all others the services as text, and how to call them."""

    def initialize(self, methods: Mapping[str, Method[Any, Any]], page: bytes) -> None:
        self._methods = methods
        self._page = page

    def get(self) -> None:
        _protect(self)
        if "text/html" in self.request.headers.get("Accept", ""):
            self.text(self._page, "text/html; charset=utf-8")
        else:
            self.text(index_text(self._methods, f"{self.request.protocol}://{self.request.host}"))


def _protect(handler: RequestHandler) -> None:
    handler.set_header("Content-Security-Policy", _POLICY)
    handler.set_header("X-Content-Type-Options", "nosniff")
    handler.set_header("Referrer-Policy", "no-referrer")
    handler.set_header("Cache-Control", "no-store")


def index_text(methods: Mapping[str, Method[Any, Any]], url: str) -> str:
    """The text of the page at /."""
    lines = ["A Sun gateway. Calls speak the Connect protocol:", ""]
    # One that works without a token, where there is one.
    example = min(
        methods, key=lambda path: (methods[path].callers is not Callers.ANYONE, path), default="Service/Method"
    )
    lines += [f"  curl -H 'Content-Type: application/json' -d '{{}}' {url}/{example}", ""]
    lines += ["and the WebSocket at /ws the same methods in the subprotocols sun.v1+proto and sun.v1+json.", ""]
    service = ""
    for path in sorted(methods):
        method = methods[path]
        name, _, short = path.partition("/")
        if name != service:
            service = name
            lines.append(service)
        request = method.request.DESCRIPTOR.name
        response = method.response.DESCRIPTOR.name
        stream = "stream " if method.server_streaming else ""
        lines.append(f"  {short}({request}) -> {stream}{response}  [{method.callers.value}]")
    return "\n".join(lines) + "\n"
