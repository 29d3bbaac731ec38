"""How names of proto files, services and messages become names of generated Python. Knows no file's content."""

from __future__ import annotations

import keyword
from pathlib import PurePosixPath

from google.protobuf.message import Message

from generators.python_names import identifier, snake

_METHODS = frozenset(dir(Message))
_PARAMETERS = frozenset({"self", "super"})


def is_writable(name: str) -> bool:
    """Whether a field or enum value can be written out: `message.name`, `Message(name=…)`. A keyword can't."""
    return not keyword.iskeyword(name)


def is_method(name: str) -> bool:
    """Whether every message has a method of this name, which a field would hide."""
    return name in _METHODS


def method(name: str) -> str:
    """`AddPost` → `add_post`, `Import` → `import_`."""
    return _usable(snake(name))


def parameter(field: str) -> str:
    """The parameter for a field in the constructor of an exception."""
    return f"{field}_" if field in _PARAMETERS else _usable(field)


def client(service: str) -> str:
    """`SocialService` → `SocialClient`, `Social` → `SocialClient`."""
    return f"{service.removesuffix('Service')}Client"


def sync_client(service: str) -> str:
    """`SocialService` → `SyncSocialClient`."""
    return f"Sync{client(service)}"


def constant(service: str, method: str) -> str:
    """`SocialService`, `AddPost` → `SOCIAL_SERVICE_ADD_POST`: always with the service, so that services can't clash."""
    return f"{snake(service)}_{snake(method)}".upper()


def limit(name: str) -> str:
    """`sign_in` → `SIGN_IN_LIMIT`."""
    return f"{name.upper()}_LIMIT"


def check(message: tuple[str, ...]) -> str:
    """The function that checks a message, by the names from its outermost message inwards."""
    return f"check_{snake('_'.join(message))}"


def error(message: tuple[str, ...]) -> str:
    """The exception for an error message."""
    return "_".join(message)


def folders(path: str) -> tuple[str, ...]:
    """The packages of a proto file: `sun/v1/social.proto` → `sun`, `v1`."""
    return tuple(identifier(part, "p") for part in PurePosixPath(path).parts[:-1])


def proto_stem(path: str) -> str:
    """The module of a proto file's messages: `sun/v1/social.proto` → `social_pb2`."""
    return identifier(f"{PurePosixPath(path).stem}_pb2", "p")


def rpc_stem(path: str) -> str:
    """The module of a proto file's services, errors and checks: `sun/v1/social.proto` → `social`."""
    return identifier(PurePosixPath(path).stem, "p")


def _usable(name: str) -> str:
    return f"{name}_" if keyword.iskeyword(name) else name
