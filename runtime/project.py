"""Finds what a project's folder holds, by path and never by import: its generated tables and services, its `build`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import runtime.generated
from runtime.bundle import Build, Parts
from runtime.cql.keyspaces import Keyspace
from runtime.generated import sql as own


class NotAProject(Exception):
    """The folder lacks a module that a project has, or another module stands in its place."""


def load(project: Path, name: str) -> ModuleType:
    """A module of the project, never one of the same name from elsewhere. Raises NotAProject."""
    folder = str(project.resolve())
    if sys.path[:1] != [folder]:
        sys.path.insert(0, folder)
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        place = project.joinpath(*name.split(".")).with_suffix(".py")
        raise NotAProject(f"{place} is missing: `sun generate` writes generated/, you write handlers/") from error
    except SyntaxError as error:
        raise NotAProject(f"{error.filename}:{error.lineno}:{error.offset or 1}: {error.msg}") from error
    if not Path(str(module.__file__)).resolve().is_relative_to(project.resolve()):
        raise NotAProject(f"{name} was found at {module.__file__}, outside of the project {project}")
    return module


def parts(project: Path) -> Parts:
    """What generation made for this project and for the framework. Raises NotAProject."""
    tables = dict(own.TABLES)
    folders = [Path(str(runtime.generated.__file__)).parent / "ddl"]
    generated = project / "generated"
    if (generated / "sql").is_dir():
        tables |= load(project, "generated.sql").TABLES
        folders.append(generated / "ddl")
    services = load(project, "generated.rpc").SERVICES if (generated / "rpc").is_dir() else ()
    return Parts(tables, folders, services, keyspaces(project))


def keyspaces(project: Path) -> list[Keyspace]:
    """What a cluster must have of each keyspace. Raises NotAProject."""
    if not (project / "generated" / "cql").is_dir():
        return []
    packages: Mapping[str, str] = load(project, "generated.cql").KEYSPACES
    return [load(project, f"generated.cql.{package}").KEYSPACE for package in packages.values()]


def build(project: Path) -> Build:
    """The `build` of `handlers/app.py`. Raises NotAProject."""
    module = load(project, "handlers.app")
    found: Build | None = getattr(module, "build", None)
    if found is None:
        raise NotAProject(f"{module.__file__} has no function build(platform)")
    return found
