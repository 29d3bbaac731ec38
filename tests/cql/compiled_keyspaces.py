"""CQL text, or a golden case, through the whole generator to packages that a test can import."""

from __future__ import annotations

import importlib
import itertools
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from generators.pipeline import Source, generate
from runtime import cql

GOLDEN = Path(__file__).parents[1] / "golden"
_numbers = itertools.count()


class Compiled:
    """The generated package of a schema."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.package = f"compiled_cql_{next(_numbers)}"
        generate(Source(folder, "schema", self.package, self.package, ()))
        patch.syspath_prepend(str(folder))

    def keyspace(self, name: str) -> ModuleType:
        """The package of a keyspace, by its Python name."""
        return importlib.import_module(f"{self.package}.cql.{name}")

    def dao(self, keyspace: str, table: str) -> Any:
        """The DAO of a table, by the Python names of both."""
        module = importlib.import_module(f"{self.package}.cql.{keyspace}.{table}")
        (dao,) = [
            value
            for value in vars(module).values()
            if isinstance(value, type) and issubclass(value, cql.Dao) and value.__module__ == module.__name__
        ]
        return dao

    def daos(self, keyspace: str) -> dict[str, Any]:
        """Every DAO of a keyspace, by the names of the tables and views."""
        found = self.keyspace(keyspace).KEYSPACE
        names = [each.name for each in (*found.tables, *found.views)]
        folder = Path(str(self.keyspace(keyspace).__file__)).parent
        modules = [file.stem for file in folder.glob("*.py") if not file.stem.startswith("_")]
        daos = {dao.table.path[1]: dao for dao in (self.dao(keyspace, module) for module in modules)}
        return {name: daos[name] for name in names}


def golden(case: str, folder: Path, patch: pytest.MonkeyPatch) -> Compiled:
    """The package of a golden case."""
    shutil.copytree(GOLDEN / case / "schema", folder / "schema")
    return Compiled(folder, patch)


def compiled(text: str, folder: Path, patch: pytest.MonkeyPatch) -> Compiled:
    """The package of one keyspace, `app`. Raises SchemaError."""
    (folder / "schema" / "cql").mkdir(parents=True)
    (folder / "schema" / "cql" / "app.cql").write_text(text, "utf-8")
    return Compiled(folder, patch)
