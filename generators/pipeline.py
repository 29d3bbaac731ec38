"""From a project's folder to its generated files: find the targets, parse, check, walk, format.

Then write or compare.
"""

from __future__ import annotations

import importlib.metadata
import keyword
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from generators import ir, proto_lock, wire_lock, writer
from generators.artifacts import Artifact, Target
from generators.diagnostics import Diagnostics, Position

FRAMEWORK = Path(__file__).parent.parent
_TOOLS = ("grpcio-tools", "jinja2", "ruff", "sqlglot")


@dataclass(frozen=True, slots=True)
class Source:
    """One schema folder and where its output goes. `shown` and `folder` are relative to the project, for people."""

    root: Path
    shown: str
    folder: str
    package: str
    includes: tuple[Path, ...]

    @property
    def schema(self) -> Path:
        return self.root / self.shown

    @property
    def output(self) -> Path:
        return self.root / self.folder

    @property
    def lock(self) -> Path:
        """The file that keeps the numbers of rows' fields from run to run. There is none before the first table."""
        return self.schema / wire_lock.NAME

    @property
    def lock_shown(self) -> str:
        return f"{self.shown}/{wire_lock.NAME}"

    def read_lock(self) -> bytes:
        return _read(self.lock)

    @property
    def proto_lock(self) -> Path:
        """The file that remembers what the proto files have promised. There is none before the first of them."""
        return self.schema / proto_lock.NAME

    @property
    def proto_lock_shown(self) -> str:
        return f"{self.shown}/{proto_lock.NAME}"

    def inputs(self, locks: Mapping[Path, str] | None = None) -> str:
        """The digest of everything the output follows from: schemas, the generator, its templates and tools.

        `locks` are the texts that locks are about to have.
        """
        files = _files(self.schema, (".sql", ".cql", ".proto"), "schema")
        for folder in self.includes:
            files |= _files(folder, (".proto",), "include")
        files |= _files(FRAMEWORK / "generators", (".py",), "generators")
        for walker in ("sql", "cql", "rows", "proto", "client"):
            files |= _files(FRAMEWORK / "templates" / walker, (".jinja",), walker)
        versions = [f"{tool} {importlib.metadata.version(tool)}" for tool in _TOOLS]
        kept = {file: _read(file) for file in (self.lock, self.proto_lock)}
        kept |= {file: text.encode() for file, text in (locks or {}).items()}
        digests = [f"{file.name} {writer.digest(data)}" for file, data in sorted(kept.items())]
        return writer.input_digest(files, [*versions, self.package, *digests])


def _read(file: Path) -> bytes:
    """What a lock holds; nothing where there is none."""
    return file.read_bytes() if file.exists() else b""


def _files(folder: Path, suffixes: tuple[str, ...], name: str) -> dict[str, Path]:
    found = (file for file in folder.rglob("*") if file.suffix in suffixes and file.is_file())
    return {f"{name}/{file.relative_to(folder).as_posix()}": file for file in found}


_TAKEN_NAMES = frozenset({"generated", "generators", "google", "handlers", "media", "runtime", "sun", "tornado"})


class BadName(Exception):
    """No package can have this name."""


class NoSchema(Exception):
    """The folder holds no schema."""


def sources(root: Path) -> list[Source]:
    """The targets of a project: the framework's own schema where the project is Sun itself, then the application's.

    Raises NoSchema.
    """
    own = FRAMEWORK / "runtime" / "schema" / "proto"
    found: list[Source] = []
    if root.resolve() == FRAMEWORK.resolve():
        found.append(Source(root, "runtime/schema", "runtime/generated", "runtime.generated", ()))
    if (root / "schema").is_dir():
        found.append(Source(root, "schema", "generated", "generated", (own,)))
    if not found:
        raise NoSchema(f"{root} has no schema/ folder; `sun init DIR` makes a project")
    return found


def load(source: Source, tell: Callable[[str], None] | None = None) -> ir.Schema:
    """The checked IR of a schema. Raises SchemaError with every error found; `tell` hears what was passed over."""
    from generators import cql_walker, row_fields, row_records, sql_ddl, sql_walker
    from generators.cql_parser import parse_keyspaces
    from generators.proto_parser import parse_protos
    from generators.sql_parser import parse_databases

    diagnostics = Diagnostics()
    databases = parse_databases(source.schema / "sql", f"{source.shown}/sql", diagnostics)
    keyspaces = parse_keyspaces(source.schema / "cql", f"{source.shown}/cql", diagnostics)
    protos, imported = parse_protos(source.schema / "proto", source.includes, f"{source.shown}/proto", diagnostics)
    for database in databases:
        if source.includes and database.name in _own_databases():
            text = f"`{database.name}` is the framework's own database: give the file another name"
            diagnostics.error(Position(database.file, 1, 1), "bad-name", text)
    schema = ir.Schema(databases, protos, imported, keyspaces=keyspaces)
    sql_walker.check(schema, diagnostics)
    cql_walker.check(schema, diagnostics)
    for database in databases:
        sql_ddl.check(database, diagnostics)
    row_fields.check(schema, source.shown, diagnostics)
    before = len(diagnostics.found)
    lines = wire_lock.read(source.read_lock(), source.lock_shown, diagnostics)
    if len(diagnostics.found) == before:
        _check_lock(source, schema, lines, diagnostics)
    diagnostics.raise_if_any()
    schema = replace(schema, rows=row_fields.number(row_records.records(schema), lines, diagnostics))
    if tell is not None:
        for note in sorted(diagnostics.notes):
            tell(str(note))
    return schema


def _check_lock(source: Source, schema: ir.Schema, lines: Iterable[wire_lock.Line], diagnostics: Diagnostics) -> None:
    """Refuse to number anew what has been generated before: the lock was lost, whole or in part."""
    from generators.row_records import records

    known = {line.message for line in lines}
    lost = [
        (record.full_name, file)
        for record in records(schema)
        if record.full_name not in known and (source.output / (file := f"proto/{record.path}")).exists()
    ]
    if lost:
        (name, file), more = lost[0], len(lost) - 1
        others = f" and {more} more" if more else ""
        files = f"{source.folder}/{file}{' and the others' if more else ''}"
        text = (
            f"the numbers of {name}{others} are lost: restore this file from version control; "
            f"where nothing was ever written with them, delete {files} to number them anew"
        )
        diagnostics.error(Position(source.lock_shown, 1, 1), "lost-numbers", text)


def client_artifacts(source: Source, language: str, name: str | None, version: str) -> list[Artifact]:
    """Every file of a package of clients, formatted, in memory. Raises SchemaError, and BadName for its name.

    `version` is the package's own; without `name` it is called after the schema's first package.
    """
    from generators import client_walker
    from generators.client_plan import ClientPackage

    schema = load(source)
    framework = load(Source(FRAMEWORK, "runtime/schema", "runtime/generated", "runtime.generated", ()))
    name = name or f"{_first_package(schema)}_client"
    if not name.isidentifier() or keyword.iskeyword(name) or name in _TAKEN_NAMES | sys.stdlib_module_names:
        raise BadName(f"{name!r} can't be the name of a package: say another with --name")
    package = ClientPackage(name, version, source.shown)
    return writer.formatted(client_walker.walk(schema, framework, package, language))


def write_client(out: Path, made: list[Artifact], *, force: bool = False) -> writer.Written:
    """Make the folder hold the package; the result's paths begin with it. Raises EditedFiles."""
    done = writer.write(out, made, "", force=force)
    written, removed = (tuple(f"{out}/{path}" for path in paths) for paths in (done.written, done.removed))
    return writer.Written(written, removed, done.unchanged)


def client_drift(out: Path, made: list[Artifact]) -> list[writer.Difference]:
    """How the folder differs from the package."""
    return [replace(each, path=f"{out}/{each.path}") for each in writer.compare(out, made)]


def _first_package(schema: ir.Schema) -> str:
    """`sun` for a schema whose first file is of the package `sun.v1`."""
    return schema.protos[0].package.partition(".")[0] if schema.protos else "sun"


def _own_databases() -> set[str]:
    return {file.stem for file in (FRAMEWORK / "runtime" / "schema" / "sql").glob("*.sql")}


def artifacts(source: Source, schema: ir.Schema) -> list[Artifact]:
    """Every file of a target, formatted, in memory."""
    from generators import cql_walker, proto_walker, row_walker, sql_walker

    imported = {file.path: "runtime.generated" for file in schema.imported if not file.path.startswith("google/")}
    target = Target(source.package, source.shown, imported)
    made = [
        *sql_walker.walk(schema, target),
        *cql_walker.walk(schema, target),
        *row_walker.walk(schema, target),
        *proto_walker.walk(schema, target),
    ]
    packages = {parent for each in made if each.path.endswith(".py") for parent in Path(each.path).parents}
    known = {each.path for each in made}
    for package in sorted(str(path) for path in packages):
        path = "__init__.py" if package == "." else f"{package}/__init__.py"
        if path not in known:
            header = f"# Generated by sun generate from {source.shown}. Do not edit.\n"
            made.append(Artifact(path, f'{header}"""What `sun generate` writes; never edited."""\n'))
    return writer.formatted(made)


def numbers(source: Source, schema: ir.Schema) -> dict[Path, str]:
    """The lock of the rows' fields where its text must change, by its path."""
    text = wire_lock.render(schema.rows)
    return {source.lock: text} if text and text.encode() != source.read_lock() else {}


def promises(
    source: Source, schema: ir.Schema, allowed: Collection[str] = (), tell: Callable[[str], None] | None = None
) -> dict[Path, str]:
    """The lock of the proto files where its text must change, by its path.

    Raises SchemaError with every change that breaks what was promised, unless it is among the `allowed`: names of what
    may break, or `all`. `tell` hears of those.
    """
    from generators import proto_breaking
    from generators.proto_parser import places

    diagnostics = Diagnostics()
    before = _read(source.proto_lock)
    old = proto_lock.read(before, source.proto_lock_shown, diagnostics)
    diagnostics.raise_if_any()
    new = proto_lock.of(schema.protos)
    for each in proto_breaking.breaks(old, new, places(schema.protos)):
        if not each.is_allowed(allowed):
            diagnostics.error(each.position, each.code, each.message)
        elif tell is not None:
            tell(f"{each.position}: allowed: {each.text}")
    diagnostics.raise_if_any()
    text = proto_lock.render(new)
    return {source.proto_lock: text} if text.encode() != before else {}


def generate(
    source: Source,
    tell: Callable[[str], None] | None = None,
    *,
    force: bool = False,
    allow_breaking: Collection[str] = (),
) -> writer.Written:
    """Bring a target's files up to date, and its locks; `tell` hears what was passed over.

    The paths in the result are relative to the project. Raises SchemaError and EditedFiles, both before anything is
    written.
    """
    if writer.is_current(source.output, source.inputs()):
        return writer.Written((), (), len(writer.read_manifest(source.output).files))
    schema = load(source, tell)
    # The locks go first: files without their numbers in them would be numbered anew.
    locks = promises(source, schema, allow_breaking, tell) | numbers(source, schema)
    made = artifacts(source, schema)
    done = writer.write(source.output, made, source.inputs(locks), force=force, first=locks)
    written = (
        *(f"{source.shown}/{file.name}" for file in locks),
        *(f"{source.folder}/{path}" for path in done.written),
    )
    return writer.Written(written, tuple(f"{source.folder}/{path}" for path in done.removed), done.unchanged)


def drift(source: Source) -> list[writer.Difference]:
    """How a target's files and locks differ from its schema, by their paths in the project. Raises SchemaError."""
    if writer.is_current(source.output, source.inputs()):
        return []
    schema = load(source)
    differences = [
        writer.Difference(f"{source.shown}/{file.name}", "changed", _read(file).decode("utf-8", "replace"), text)
        if file.exists()
        else writer.Difference(f"{source.shown}/{file.name}", "missing", None, text)
        for file, text in (promises(source, schema) | numbers(source, schema)).items()
    ]
    found = writer.compare(source.output, artifacts(source, schema))
    return [*differences, *(replace(each, path=f"{source.folder}/{each.path}") for each in found)]
