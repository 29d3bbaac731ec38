"""The `sun` command. Each command imports what it needs when it runs, so that `sun --help` is instant."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from generators.pipeline import Source
    from generators.writer import Difference, Written
    from runtime.bundle import Parts
    from runtime.config import Settings
    from runtime.cql.create import Schema
    from runtime.cql.keyspaces import Keyspace

__version__ = "0.1.0"


class Refused(click.ClickException):
    """An error that one line explains: the command prints it and exits with 2."""

    exit_code = 2

    def show(self, file: Any = None) -> None:
        click.echo(f"sun: {self.message}", err=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="sun")
@click.option(
    "--project",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    help="The folder that holds schema/, generated/ and handlers/ (the current one).",
)
@click.option("--debug", is_flag=True, help="Print tracebacks.")
@click.pass_context
def cli(context: click.Context, project: Path, debug: bool) -> None:
    """Schema-first backend framework: edit schema/, run `sun generate`, write handlers/, run `sun serve`."""
    context.obj = project


@cli.command()
@click.option("--check", is_flag=True, help="Write nothing; print how files differ from the schema, exit 1 if any.")
@click.option("--watch", is_flag=True, help="Stay, and generate again after each change of the schema.")
@click.option("--force", is_flag=True, help="Overwrite generated files that were edited by hand.")
@click.option("--client", "language", type=click.Choice(["python"]), help="Write a package of clients instead.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="The package's folder.")
@click.option("--name", help="What programs import; the schema's package and _client by default.")
@click.option("--release", default="0.1.0", show_default=True, help="The package's version.")
@click.option(
    "--allow-breaking",
    multiple=True,
    metavar="NAME",
    help="Let this message, field, enum, method, service or package break its clients; `all` for everything.",
)
@click.pass_obj
def generate(
    project: Path,
    check: bool,
    watch: bool,
    force: bool,
    language: str | None,
    out: Path | None,
    name: str | None,
    release: str,
    allow_breaking: tuple[str, ...],
) -> None:
    """Bring generated/ up to date with schema/; or write a package of clients that others install."""
    if language is not None:
        if out is None or watch or allow_breaking:
            raise click.UsageError("--client needs --out, and goes with neither --watch nor --allow-breaking")
        _generate_client(_sources(project)[-1], language, out, name, release, check=check, force=force)
        return
    if out is not None or name is not None:
        raise click.UsageError("--out and --name are for --client")
    if check and (watch or force or allow_breaking):
        raise click.UsageError("--check writes nothing and runs once: it goes with no other option")
    sources = _sources(project)
    if check:
        drifted = [_print_drift(source) for source in sources]
        sys.exit(1 if any(drifted) else 0)
    if watch:
        _watch(sources, force=force, allow_breaking=allow_breaking)
        return
    for source in sources:
        _generate(source, force=force, allow_breaking=allow_breaking)


def _generate_client(
    source: Source, language: str, out: Path, name: str | None, release: str, *, check: bool, force: bool
) -> None:
    from generators import pipeline

    with _schema_errors():
        try:
            made = pipeline.client_artifacts(source, language, name, release)
        except pipeline.BadName as error:
            raise Refused(str(error)) from error
        if not check:
            _write(lambda: pipeline.write_client(out, made, force=force), str(out))
            return
        differences = pipeline.client_drift(out, made)
    _print_differences(differences, str(out))
    sys.exit(1 if differences else 0)


def _sources(project: Path) -> list[Source]:
    from generators.pipeline import NoSchema, sources

    try:
        return sources(project)
    except NoSchema as error:
        raise Refused(str(error)) from error


def _generate(source: Source, *, force: bool = False, allow_breaking: tuple[str, ...] = ()) -> None:
    from generators import pipeline

    _write(lambda: pipeline.generate(source, click.echo, force=force, allow_breaking=allow_breaking), source.folder)


def _write(write: Callable[[], Written], folder: str) -> None:
    """Prints what was written to a folder and why it was not."""
    from generators import writer

    with _schema_errors():
        try:
            done = write()
        except writer.EditedFiles as error:
            for path in error.paths:
                click.echo(f"sun: {folder}/{path} was edited by hand", err=True)
            raise Refused("nothing was written; move the edits to handlers/ or the schema, or say --force") from error
    for path in done.written:
        click.echo(f"wrote {path}")
    for path in done.removed:
        click.echo(f"removed {path}")
    changes = f"{len(done.written)} written, {len(done.removed)} removed, " if done.written or done.removed else ""
    click.echo(f"{folder}: {changes}{done.unchanged} unchanged")


def _print_drift(source: Source) -> bool:
    from generators import pipeline

    with _schema_errors():
        differences = pipeline.drift(source)
    _print_differences(differences, source.folder)
    return bool(differences)


def _print_differences(differences: list[Difference], folder: str) -> None:
    for each in differences:
        click.echo(f"{each.status}: {each.path}")
    for each in differences:
        click.echo(each.diff(), nl=False)
    if not differences:
        click.echo(f"{folder}: up to date")


def _watch(sources: list[Source], *, force: bool, allow_breaking: tuple[str, ...]) -> None:
    import watchfiles

    click.echo("watching for changes; Ctrl-C ends it")
    folders = [source.schema for source in sources]
    seen: dict[str, str] = {}
    # Now and then without a change, too: one made before the watcher was up has no event.
    changes = watchfiles.watch(*folders, debounce=200, rust_timeout=2_000, yield_on_timeout=True, raise_interrupt=False)
    for _ in itertools.chain([None], changes):
        for source in sources:
            try:
                with _schema_errors():
                    inputs = source.inputs()
                if seen.get(source.folder) != inputs:
                    seen[source.folder] = inputs
                    _generate(source, force=force, allow_breaking=allow_breaking)
            except Refused as error:
                error.show()


@contextlib.contextmanager
def _schema_errors() -> Iterator[None]:
    """Prints every error of a refused schema, or the one of a file that can't be read or written, and exits with 2."""
    from generators.diagnostics import SchemaError

    try:
        yield
    except OSError as error:
        if _debugging():
            raise
        raise Refused(str(error)) from error
    except SchemaError as error:
        for diagnostic in error.diagnostics:
            click.echo(str(diagnostic), err=True)
        count = len(error.diagnostics)
        raise Refused(f"{count} error{'s' if count > 1 else ''} in the schema; nothing was written") from error


@cli.command()
@click.pass_obj
def ir(project: Path) -> None:
    """Print the schema's intermediate representation as JSON."""
    import json

    from generators import pipeline
    from generators.ir import to_json

    with _schema_errors():
        schema = pipeline.load(_sources(project)[-1])
    click.echo(json.dumps(to_json(schema), indent=1, ensure_ascii=False))


def _settings(project: Path, **given: Any) -> Settings:
    from runtime.config import ConfigError, load

    try:
        return load(project, **given)
    except ConfigError as error:
        raise Refused(str(error)) from error


@contextlib.contextmanager
def _one_line_errors() -> Iterator[None]:
    """Turns what an operator can mend into one line and exit code 2."""
    from runtime.bundle import NotCreated
    from runtime.cql.errors import CqlError
    from runtime.cql.urls import InvalidUrl as InvalidCqlUrl
    from runtime.leases import NoFreeNode
    from runtime.project import NotAProject
    from runtime.rpc.dispatcher import BindingError
    from runtime.rpc.service import MissingMethods
    from runtime.rpc.tracing import NoTraces
    from runtime.sql.errors import SqlError
    from runtime.sql.urls import InvalidUrl
    from runtime.tls import TlsError

    mendable: tuple[type[Exception], ...] = (BindingError, InvalidUrl, MissingMethods, NoFreeNode, NoTraces)
    mendable += (NotAProject, NotCreated, OSError, SqlError, TlsError, CqlError, InvalidCqlUrl)
    try:
        yield
    except mendable as error:
        if _debugging():
            raise
        raise Refused(str(error)) from error


def _debugging() -> bool:
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.find_root().params.get("debug"))


@cli.group()
def db() -> None:
    """The SQL databases."""


@db.command("create")
@click.pass_obj
def db_create(project: Path) -> None:
    """Create what the SQL engine lacks: databases, tables, indexes. Changes nothing that exists."""
    import asyncio

    from runtime.bundle import create_tables
    from runtime.project import parts

    settings = _settings(project)
    with _one_line_errors():
        made = asyncio.run(create_tables(settings, parts(project)))
    for table in made:
        click.echo(f"created {table}")
    click.echo(f"{len(made)} tables created" if made else "every table is there already")


@db.command("diff")
@click.pass_obj
def db_diff(project: Path) -> None:
    """Say how the live database differs from the schema; exit with 1 if it does. Changes nothing there."""
    import asyncio

    from runtime.bundle import diff_tables
    from runtime.project import parts

    settings = _settings(project)
    with _one_line_errors():
        lines = asyncio.run(diff_tables(settings, parts(project)))
    for line in lines:
        click.echo(line)
    if not lines:
        click.echo("the database is what the schema says")
    sys.exit(1 if lines else 0)


@cli.group()
def cql() -> None:
    """The CQL keyspaces."""


@contextlib.contextmanager
def _cluster(settings: Settings) -> Iterator[Schema]:
    """What is asked of the configured cluster; the embedded store ends the command, for it has nothing to ask."""
    from runtime.cql.create import opened

    with _one_line_errors(), opened(settings.wide_url, connect_timeout_ms=settings.connect_timeout_ms) as schema:
        if schema is None:
            click.echo("the embedded store makes its tables when they are first used")
            sys.exit(0)
        yield schema


@cql.command("create")
@click.option("--dry-run", is_flag=True, help="Print the CQL that would run, and run nothing.")
@click.pass_obj
def cql_create(project: Path, dry_run: bool) -> None:
    """Create what the cluster lacks: keyspaces, types, tables, columns, indexes, views. Changes nothing that exists."""
    from runtime.cql import create
    from runtime.project import keyspaces

    settings = _settings(project)
    with _cluster(settings) as schema:
        wanted = keyspaces(project)
        try:
            if dry_run:
                todo = create.accepted(schema, wanted, settings.cql_replication)
                click.echo(create.script(todo, schema.prefix) or f"-- {_CREATED}")
                notes = todo.notes
            else:
                notes = _create(schema, wanted, settings)
        except create.Refused as error:
            for line in error.lines:
                click.echo(line, err=True)
            raise Refused("nothing was created: what stands above can't be changed on a cluster") from error
    for note in notes:
        click.echo(f"note: {note}", err=dry_run)


_CREATED = "every keyspace has what the schema says already"


def _create(schema: Schema, wanted: Sequence[Keyspace], settings: Settings) -> list[str]:
    from runtime.cql.changes import Change, done
    from runtime.cql.create import create

    made = 0

    def tell(change: Change) -> None:
        nonlocal made
        made += 1
        click.echo(done(change))

    notes = create(schema, wanted, settings.cql_replication, made=tell)
    click.echo(f"{made} change{'' if made == 1 else 's'} made" if made else _CREATED)
    return notes


@cql.command("diff")
@click.pass_obj
def cql_diff(project: Path) -> None:
    """Say how the cluster differs from the schema; exit with 1 if it does. Changes nothing there."""
    from runtime.cql.create import planned
    from runtime.project import keyspaces

    settings = _settings(project)
    with _cluster(settings) as schema:
        lines = planned(schema, keyspaces(project), settings.cql_replication).lines
    for line in lines:
        click.echo(line)
    if not lines:
        click.echo("the cluster is what the schema says")
    sys.exit(1 if lines else 0)


@cli.command()
@click.argument("url")
@click.argument("names", metavar="[KEYSPACE]...", nargs=-1)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="The folder of the files, as schema/cql.")
@click.option("--timeout", "timeout_ms", type=click.IntRange(1), default=5_000, help="Milliseconds to connect (5000).")
def introspect(url: str, names: tuple[str, ...], out: Path | None, timeout_ms: int) -> None:
    """Write the schema of a live cluster at URL (cassandra://…) as .cql files, or print it.

    All keyspaces but the server's own, or those that are named. Exits with 1 where Sun does not read all of them: what
    it does not is written too, and named.
    """
    from generators import cql_introspect
    from generators.diagnostics import Diagnostics

    if not url.startswith("cassandra://"):
        raise Refused("introspect reads cassandra://…: of other engines it knows no schema")
    with _one_line_errors():
        prefix, rows = _read_cluster(url, names, timeout_ms)
    files = cql_introspect.keyspace_files(rows, prefix)
    if missing := sorted(set(names) - files.keys()):
        raise Refused(f"the cluster has no keyspace {', '.join(missing)}")
    if not files:
        raise Refused("the cluster has no keyspaces")
    diagnostics = Diagnostics()
    for name, text in files.items():
        cql_introspect.check(text, name, str((out or Path()) / f"{name}.cql"), diagnostics)
    if out is None:
        click.echo("\n".join(files.values()), nl=False)
    else:
        _write_new({out / f"{name}.cql": text for name, text in files.items()})
    for each in diagnostics.found:
        click.echo(str(each), err=True)
    sys.exit(1 if diagnostics.found else 0)


def _read_cluster(url: str, names: tuple[str, ...], timeout_ms: int) -> tuple[str, Mapping[str, Any]]:
    """The prefix of keyspaces that the URL says, and the rows of `system_schema`."""
    from runtime.cql import create

    with create.opened(url, connect_timeout_ms=timeout_ms) as schema:
        assert schema is not None  # only that of the embedded store is
        return schema.prefix, schema.rows([schema.prefix + name for name in names] or None)


def _write_new(files: Mapping[Path, str]) -> None:
    """Write files that are not there yet: none where one is."""
    for path in files:
        if path.exists():
            raise Refused(f"{path} is there already; nothing was written: remove it, or choose another --out")
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
            click.echo(f"wrote {path}")
    except OSError as error:
        raise Refused(str(error)) from error


@cli.command()
@click.option("--host", help="Address to listen on (127.0.0.1).")
@click.option("--port", type=int, help="Port to listen on, 0 for a free one (8650).")
@click.option("--workers", type=int, help="Processes that serve the port (1).")
@click.pass_obj
def serve(project: Path, host: str | None, port: int | None, workers: int | None) -> None:
    """Serve every service over HTTP and the WebSocket until SIGTERM or Ctrl-C."""
    settings = _settings(project, host=host, port=port, workers=workers)
    with _one_line_errors():
        from runtime import bundle, supervisor, worker
        from runtime.project import build, parts

        made = parts(project)

        def announce(url: str) -> None:
            _announce(url, settings, made)

        if settings.workers > 1 and worker.place() is None:
            sys.exit(supervisor.run(settings, announce))
        sys.exit(bundle.run(settings, made, build(project), announce))


def _announce(url: str, settings: Settings, parts: Parts) -> None:
    where = settings.place
    click.echo(f"listening on {url}")
    pages = [f"{url}/ (services)"] if settings.shows_explorer else []
    pages += [f"{url}/readyz", f"{url}/metrics"] if settings.admin_port is None else []
    if pages:
        click.echo(f"  pages      {', '.join(pages)}")
    if settings.workers > 1:
        click.echo(f"  workers    {settings.workers}")
    click.echo(f"  WebSocket  {url.replace('http', 'ws', 1)}/ws")
    click.echo(f"  state      {where}")
    example = _example(parts)
    if example is not None:
        path, body = example
        command = "sun" if shutil.which("sun") else os.path.relpath(sys.argv[0])
        click.echo("try, in another terminal:")
        click.echo(f"  {command} call {path} '{body}' --url {url}")
        click.echo(f"  curl -H 'content-type: application/json' -d '{body}' {url}/{path}")


def _example(parts: Parts) -> tuple[str, str] | None:
    """A call that anybody can make and that changes nothing, with a request that is likely to mean something."""
    import json

    from runtime.rpc.service import Callers

    methods = [method for base in parts.services for method in base.methods if method.callers is Callers.ANYONE]
    method = min(methods, key=lambda method: (method.side_effects, len(method.path)), default=None)
    if method is None:
        return None
    fields = method.request.DESCRIPTOR.fields
    texts = [field.json_name for field in fields if field.type == field.TYPE_STRING and field.containing_oneof is None]
    return method.path, json.dumps(dict.fromkeys(texts, "hi"))


@cli.command()
@click.argument("method")
@click.argument("body", default="{}")
@click.option("--url", default="http://127.0.0.1:8650", show_default=True, help="http://… or ws://…/ws")
@click.option(
    "--token", default="", envvar="SUN_TOKEN", help="A session's token, or SUN_TOKEN, which no process list shows."
)
@click.option("--timeout", "timeout_ms", type=click.IntRange(1), help="Milliseconds.")
def call(method: str, body: str, url: str, token: str, timeout_ms: int | None) -> None:
    """Call METHOD (package.Service/Method) with the JSON BODY and print the reply as JSON.

    An error that the server answers is printed with its code and its details, and the exit code is 1. It is 2 where no
    server was asked: a wrong URL, a body that is no JSON, nothing there.
    """
    import asyncio
    import json

    from runtime.rpc.connect import error_to_json
    from runtime.rpc.errors import NotCalled, RpcError
    from runtime.rpc.transports.dynamic import call_json

    try:
        reply = asyncio.run(call_json(url, method.lstrip("/"), body, token, timeout_ms))
    except RpcError as error:
        click.echo(f"sun: {error.code.text}: {error.message}", err=True)
        if error.details:
            details = json.loads(error_to_json(error))["details"]
            click.echo(json.dumps(details, indent=2, ensure_ascii=False), err=True)
        sys.exit(2 if isinstance(error, NotCalled) else 1)
    click.echo(json.dumps(json.loads(reply), indent=2, ensure_ascii=False))


@cli.command()
@click.pass_obj
def shell(project: Path) -> None:
    """Open a Python prompt with the database and the generated DAOs."""
    import code

    from runtime.project import load, parts
    from runtime.sql.sync import connect_sync

    settings = _settings(project)
    with _one_line_errors():
        databases = sorted({name.partition(".")[0] for name in parts(project).tables} - {"sun_runtime"})
        names: dict[str, Any] = {name: load(project, f"generated.sql.{name}") for name in databases}
        database = connect_sync(settings.database_url, connect_timeout_ms=settings.connect_timeout_ms)
    names["db"] = database
    banner = f"db.run(query) runs a query; the generated tables are in {', '.join(databases)}."
    try:
        code.interact(banner=banner, local=names, exitmsg="")
    finally:
        database.close()


@cli.command()
@click.pass_obj
def doctor(project: Path) -> None:
    """Check configuration, generated files, handlers and engines, and say what to mend."""
    from runtime.doctor import examine

    settings = _settings(project)
    failed = False
    for name, problem in examine(settings):
        failed = failed or problem is not None
        click.echo(f"{'ok  ' if problem is None else 'MEND'}  {name}" + (f": {problem}" if problem else ""))
    for source in _sources(project):
        problem = _drift_summary(source)
        failed = failed or problem is not None
        click.echo(f"{'ok  ' if problem is None else 'MEND'}  {source.folder}" + (f": {problem}" if problem else ""))
    sys.exit(1 if failed else 0)


def _drift_summary(source: Source) -> str | None:
    from generators import pipeline
    from generators.diagnostics import SchemaError

    try:
        differences = pipeline.drift(source)
    except SchemaError as error:
        return str(error.diagnostics[0])
    except OSError as error:
        return str(error)
    paths = ", ".join(each.path for each in differences[:3]) + (", …" if len(differences) > 3 else "")
    return f"not what the schema says ({paths}): run `sun generate`" if differences else None


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path))
def init(folder: Path) -> None:
    """Make a small project in FOLDER: one table, one service, one handler, one test."""
    from generators import pipeline, scaffold

    with _schema_errors():
        made = scaffold.make(folder)
    for path in made:
        click.echo(f"wrote {folder / path}")
    for source in pipeline.sources(folder):
        _generate(source)
    click.echo(f"next:\n  cd {folder}\n  sun serve")


def main() -> None:
    """The console script: no traceback for what one line can say, unless --debug asks for it."""
    try:
        cli(prog_name="sun")
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        click.echo(f"sun: unexpected {type(error).__name__}: {error} (--debug prints the traceback)", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
