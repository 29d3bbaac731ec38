"""How tables and columns are called in protobuf. One rule, so that a reader can predict each name."""

from __future__ import annotations

import re

from generators.python_names import keyspace_package, snake, table_class, table_module

_FOREIGN = re.compile(r"[^0-9A-Za-z]+")


def package(database: str) -> str:
    """The package of the row messages of a database or keyspace: `sun` → `sun.rows.v1`. It begins as the Python package
    does, since a keyspace may have a name that protobuf can't have.
    """
    return f"{keyspace_package(database)}.rows.v1"


def type_package(keyspace: str) -> str:
    """The package of the messages of user-defined types, which may have the names of tables: `sun` → `sun.types.v1`."""
    return f"{keyspace_package(keyspace)}.types.v1"


def path(package: str, name: str) -> str:
    """The import name of the proto file of a table, view or type: `sun.rows.v1`, `post_media` →
    `sun/rows/v1/post_media.proto`.
    """
    return f"{package.replace('.', '/')}/{table_module(name).rstrip('_')}.proto"


def message(name: str) -> str:
    """The message of a table, view or type: `post_media` → `PostMedia`, as the class in Python."""
    return table_class(name)


def field(column: str) -> str:
    """The field of a column: `userId` → `user_id`, `Mixed Case` → `mixed_case`, `_own` → `own`, `3p%` → `c_3p`."""
    plain = _FOREIGN.sub("_", snake(column)).strip("_")
    return plain if plain[:1].isalpha() else f"c_{plain}".rstrip("_")


def json_name(name: str) -> str:
    """protobuf's JSON name of a field: `user_id` → `userId` (https://protobuf.dev/programming-guides/json/)."""
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)
