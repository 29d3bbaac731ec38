"""Text of a keyspace through the whole generator, formatting apart, to DAOs that a test can call."""

from __future__ import annotations

import datetime
import decimal
import importlib
import ipaddress
import itertools
import math
import sys
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from generators import cql_ddl, cql_walker, ir
from generators.artifacts import Target
from generators.cql_dao import finder_name
from generators.cql_parser import parse_keyspace
from generators.diagnostics import Diagnostics
from generators.python_names import keyspace_package, table_class, table_module
from runtime import cql

_numbers = itertools.count()
_REPLICATION = {"class": "SimpleStrategy", "replication_factor": "1"}
_WORDS: dict[str, Any] = {
    **{name: getattr(cql, name) for name in cql.__all__},
    "datetime": datetime,
    "Decimal": decimal.Decimal,
    "IPv4Address": ipaddress.IPv4Address,
    "IPv6Address": ipaddress.IPv6Address,
    "UUID": uuid.UUID,
    "nan": math.nan,
    "inf": math.inf,
}
"""What the text of a call may name beside the keyspace's own classes."""


@dataclass(frozen=True)
class Accessed:
    """A table or a view: the name of its DAO and of its row class, the DAO, and the DAO's finders in the order of
    the table's indexes.
    """

    dao_name: str
    row_name: str
    dao: Any
    finders: tuple[str, ...] = ()


@dataclass(frozen=True)
class Compiled:
    """A keyspace. `names` holds what the text of a call may name."""

    source: ir.Keyspace
    tables: tuple[Accessed, ...]
    views: tuple[Accessed, ...]
    names: dict[str, Any]

    def ddl(self, prefix: str) -> list[str]:
        """What makes the keyspace on a cluster, its name after the prefix. Nothing of it is there to outlive a crash,
        which makes it quick to empty.
        """
        made = replace(self.source, name=f"{prefix}{self.source.name}")
        keyspace = cql_ddl.create_keyspace(made.name, _REPLICATION, durable_writes=False)
        return [keyspace, *cql_ddl.statements(made)]

    def table_text(self, accessed: Accessed) -> str:
        """The statements that make one table, for messages."""
        _, name = accessed.dao.table.path
        for table in self.source.tables:
            if table.name == name:
                indexes = [cql_ddl.create_index(None, name, index) for index in table.indexes]
                return ";\n".join([cql_ddl.create_table(None, table), *indexes]) + ";"
        (view,) = (view for view in self.source.views if view.name == name)
        return cql_ddl.create_view(None, view) + ";"

    def types_text(self) -> str:
        return "\n".join(f"{cql_ddl.create_type(None, made)};" for made in self.source.types)


def compiled(text: str, keyspace: str, folder: Path) -> Compiled:
    """The keyspace of a schema file. Its modules are written to `folder`. Raises SchemaError."""
    diagnostics = Diagnostics()
    source = parse_keyspace(text.encode(), keyspace, f"{keyspace}.cql", diagnostics)
    schema = ir.Schema(keyspaces=(source,))
    cql_walker.check(schema, diagnostics)
    diagnostics.raise_if_any()
    package = f"compiled_cql{next(_numbers)}"
    for artifact in cql_walker.walk(schema, Target(package, "", {})):
        file = folder / package / artifact.path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(artifact.text, "utf-8")
    inside = f"{package}.cql.{keyspace_package(source.name)}"
    sys.path.insert(0, str(folder))
    try:
        importlib.invalidate_caches()
        tables = tuple(_accessed(inside, table) for table in source.tables)
        views = tuple(_accessed(inside, view) for view in source.views)
        types = vars(importlib.import_module(f"{inside}._types")) if source.types else {}
    finally:
        sys.path.remove(str(folder))
    names = _WORDS | {name: value for name, value in types.items() if _is_user_type(value)}
    for each in (*tables, *views):
        names |= {each.dao_name: each.dao, each.row_name: each.dao.table.row}
    return Compiled(source, tables, views, names)


def _accessed(package: str, table: ir.CqlTable | ir.CqlView) -> Accessed:
    module = importlib.import_module(f"{package}.{table_module(table.name)}")
    row = table_class(table.name)
    finders = tuple(finder_name(table, index) for index in table.indexes) if isinstance(table, ir.CqlTable) else ()
    return Accessed(f"{row}Dao", row, getattr(module, f"{row}Dao"), finders)


def _is_user_type(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, cql.UserType)
