"""Makes an importable package of a golden schema and a store for it, for tests of what generated code does."""

from __future__ import annotations

import asyncio
import importlib
import shutil
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import pytest

from generators.pipeline import Source, generate
from runtime.sql.create import create
from runtime.sql.database import Database, connect
from runtime.sql.queries import Query

GOLDEN = Path(__file__).parents[1] / "golden"
T = TypeVar("T")


class Built:
    """The generated package of a golden case, and its DDL."""

    def __init__(self, case: str, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.package = f"built_{case}"
        self.folder = folder
        shutil.copytree(GOLDEN / case / "schema", folder / "schema")
        generate(Source(folder, "schema", self.package, self.package, ()))
        patch.syspath_prepend(str(folder))
        for module in [module for module in sys.modules if module.partition(".")[0] == self.package]:
            patch.delitem(sys.modules, module)  # of an earlier test

    def database(self, name: str) -> ModuleType:
        """The package of a logical database."""
        return importlib.import_module(f"{self.package}.sql.{name}")

    def ddl(self, dialect: str) -> dict[str, str]:
        files = (self.folder / self.package / "ddl" / dialect).glob("*.sql")
        return {file.stem: file.read_text("utf-8") for file in files}


class Store:
    """A store with the tables made."""

    def __init__(self, url: str, db: Database, loop: asyncio.Runner) -> None:
        self.url = url
        self.db = db
        self._loop = loop

    def run(self, query: Query[T]) -> T:
        return self._loop.run(self.db.run(query))

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run(work)


@contextmanager
def opened(url: str, built: Built) -> Iterator[Store]:
    with asyncio.Runner() as loop:
        db = loop.run(connect(url))
        try:
            loop.run(create(db, built.ddl(db.dialect.name)))
            yield Store(url, db, loop)
        finally:
            loop.run(db.close())
