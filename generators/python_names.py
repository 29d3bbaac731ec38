"""How names of a schema become Python names. One rule, so that a reader can predict each name.

A character that Python does not allow becomes `_`. A name that would start with a digit or an underscore gets a prefix
(`c` for a column, `t` for a table). A keyword, or a name that generated code itself needs in that place, gets a
trailing underscore. Two names that become the same are an error, never renamed in silence.
"""

from __future__ import annotations

import keyword
import re

# What a DAO has or will have as methods, the parameters of its finders, and the names its annotations use.
DAO_NAMES = frozenset(
    """
    all avg average bool bulk bytes cache cached classmethod count datetime decimal delete distinct everywhere
    exists first float from_message frozenset get get_many group_by increment insert insert_if_absent insert_many
    int list load max min one order_by preload raw select set sql str stream sum t table to_message tuple types
    update update_row upsert upsert_many values where
    after before limit cls self
    """.split()
)

# The names that annotations in generated CQL modules use: no field of a row or a user-defined type may hide them.
CQL_TYPE_NAMES = frozenset(
    """
    bool bytes cql datetime decimal dict float frozenset int ipaddress list msgspec set str t tuple types uuid
    cls self
    """.split()
)

# The same for the DAOs of keyspaces.
CQL_DAO_NAMES = CQL_TYPE_NAMES | frozenset(
    """
    classmethod delete delete_partition delete_slice from_message get get_in get_many increment increment_static insert
    insert_many partitions scan slice slice_in table to_message update update_static
    after at_least at_most before limit row timestamp tokens ttl
    """.split()
)

_FOREIGN = re.compile(r"[^0-9A-Za-z_]")
_WORDS = re.compile(r"[^0-9A-Za-z]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def identifier(name: str, prefix: str, reserved: frozenset[str] = frozenset()) -> str:
    """A Python identifier for `name`. Names of letters outside ASCII keep a `_` for each of them."""
    plain = _FOREIGN.sub("_", name)
    if not plain[0].isalpha():
        plain = f"{prefix}{plain}" if plain[0] == "_" else f"{prefix}_{plain}"
    return f"{plain}_" if keyword.iskeyword(plain) or plain in reserved else plain


def column_field(name: str) -> str:
    """The field of the row class and the attribute of the DAO for a column."""
    return identifier(name, "c", DAO_NAMES)


def cql_column(name: str) -> str:
    """The field of the row class and the attribute of the DAO for a column of a keyspace."""
    return identifier(name, "c", CQL_DAO_NAMES)


def user_field(name: str) -> str:
    """The field of the class of a user-defined type."""
    return identifier(name, "c", CQL_TYPE_NAMES)


def keyspace_package(name: str) -> str:
    """The package of a keyspace."""
    return identifier(name.lower(), "k")


def table_module(name: str) -> str:
    """The module of a table."""
    return identifier(name.lower(), "t")


def table_class(name: str) -> str:
    """The row class of a table: `post_media` → `PostMedia`."""
    words = [word for word in _WORDS.split(name) if word]
    camel = "".join(word[0].upper() + word[1:] for word in words) or "Table"
    return identifier(camel, "T")


def finder(table: str, key: str, columns: list[str]) -> str:
    """The finder of a key: `post_by_user` of table `post` → `by_user`; `idx_phone` or just `phone` → `by_phone`."""
    rest = _FOREIGN.sub("_", key.removeprefix(f"{table}_"))
    if not rest.startswith("by_"):
        for prefix in ("idx_", "ix_", "uk_", "uq_", "key_", "index_"):
            rest = rest.removeprefix(prefix)
        for suffix in ("_idx", "_index", "_key", "_unique"):
            rest = rest.removesuffix(suffix)
        rest = f"by_{rest.strip('_') or '_and_'.join(columns)}"
    return identifier(rest, "by")


def snake(name: str) -> str:
    """`AddPost` → `add_post`, `HTTPServer` → `http_server`."""
    return _HUMP.sub("_", name).lower()
