"""Schema text through the whole SQL generator, formatting apart, to DAOs that a test can call."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generators import sql_ddl, sql_walker
from generators.artifacts import Target
from generators.diagnostics import Diagnostics
from generators.ir import Schema
from generators.sql_parser import parse_database

DATABASE = "app"
_numbers = itertools.count()


@dataclass(frozen=True)
class Compiled:
    """The DAOs by table, and the DDL as `runtime.sql.create` takes it, by dialect."""

    daos: dict[str, Any]
    ddl: dict[str, dict[str, str]]


def compiled(text: str, folder: Path) -> Compiled:
    """The tables of a schema file. Their modules are written to `folder`. Raises SchemaError."""
    diagnostics = Diagnostics()
    database = parse_database(text.encode(), DATABASE, f"{DATABASE}.sql", diagnostics)
    schema = Schema((database,), (), ())
    sql_walker.check(schema, diagnostics)
    sql_ddl.check(database, diagnostics)
    diagnostics.raise_if_any()
    package = f"compiled{next(_numbers)}"
    modules = {
        Path(artifact.path).stem: artifact.text
        for artifact in sql_walker.walk(schema, Target(package, "", {}))
        if artifact.path.startswith(f"sql/{DATABASE}/") and not artifact.path.endswith("__init__.py")
    }
    daos: dict[str, Any] = {}
    for name, source in modules.items():
        module = _imported(f"{package}_{name}", source, folder)
        found = [value for value in vars(module).values() if isinstance(value, type) and hasattr(value, "table")]
        (dao,) = [value for value in found if value.__module__ == module.__name__]
        daos[dao.table.path[1]] = dao
    ddl = {dialect: {DATABASE: sql_ddl.ddl(database, dialect)} for dialect in sql_ddl.DIALECTS}
    return Compiled(daos, ddl)


def _imported(name: str, source: str, folder: Path) -> Any:
    file = folder / f"{name}.py"
    file.write_text(source, "utf-8")
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where msgspec and typing look names up
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[name]
    return module
