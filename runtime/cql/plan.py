"""Compares keyspaces of a schema with those of a cluster: what to add, what can't be had, what else differs.

Does nothing: `runtime.cql.create` does what is planned here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from runtime.cql import described
from runtime.cql.changes import (
    AddColumn,
    AddField,
    Change,
    CreateIndex,
    CreateKeyspace,
    CreateTable,
    CreateType,
    CreateView,
    literal,
    told,
)
from runtime.cql.keyspaces import Column, Field, Index, Keyspace, Option, Table, UserType, View
from runtime.cql.spellings import conditions, expanded, same, same_index, same_replication, same_type, type_names
from runtime.cql.text import quoted

MAX_NAME = 48
"""Letters of a keyspace's name, with its prefix."""

_COPY = "make a table of another name and copy the rows"


@dataclass(slots=True)
class Plan:
    """`changes` in the order in which they can be made. `refusals` and `notes` are lines: what must be mended before
    anything may be changed, and what differs without harm.
    """

    changes: list[Change] = field(default_factory=list[Change])
    refusals: list[str] = field(default_factory=list[str])
    notes: list[str] = field(default_factory=list[str])

    @property
    def lines(self) -> list[str]:
        """Everything that differs; what harms first."""
        return [*self.refusals, *(change.missing for change in self.changes), *self.notes]


def plan(
    keyspaces: Sequence[Keyspace],
    cluster: described.Cluster,
    *,
    prefix: str = "",
    replication: Mapping[str, int] | None = None,
) -> Plan:
    """What a cluster needs to have these keyspaces. `prefix` comes before their names there.

    `replication`, the copies in each data centre, goes before what the schema says. Where neither says anything, a
    cluster of one node keeps one copy.
    """
    made = Plan()
    for keyspace in keyspaces:
        _Planner(made, keyspace, cluster, prefix + keyspace.name, replication).plan()
    return made


class _Planner:
    """Plans one keyspace, whose name on the cluster is `place`."""

    def __init__(
        self,
        made: Plan,
        keyspace: Keyspace,
        cluster: described.Cluster,
        place: str,
        replication: Mapping[str, int] | None,
    ) -> None:
        self.made = made
        self.wanted = keyspace
        self.cluster = cluster
        self.place = place
        self.name = keyspace.name
        self.configured = replication
        self.has = cluster.keyspaces.get(place)

    def plan(self) -> None:
        if self.has is None:
            self._new()
            return
        self._itself(self.has)
        for type in self.wanted.types:
            self._type(self.has, type)
        for table in self.wanted.tables:
            self._table(self.has, table)
        for index in self.wanted.indexes:
            self._index(self.has, index)
        for view in self.wanted.views:
            self._view(self.has, view)
        self._others(self.has)

    def _refuse(self, what: str, text: str) -> None:
        self.made.refusals.append(f"{self.name}{what and '.'}{what}: {text}")

    def _note(self, what: str, text: str) -> None:
        self.made.notes.append(f"{self.name}{what and '.'}{what}: {text}")

    # the keyspace

    def _new(self) -> None:
        wanted = self.wanted
        if len(self.place) > MAX_NAME:
            self._refuse("", f"with its prefix, {self.place} has {len(self.place)} letters: {MAX_NAME} are the most")
        replication = self._replication()
        self.made.changes += [
            CreateKeyspace(self.name, self.place, replication or {}, wanted.durable_writes),
            *(CreateType(self.name, type) for type in wanted.types),
            *(CreateTable(self.name, table) for table in wanted.tables),
            *(CreateIndex(self.name, index) for index in wanted.indexes),
            *(CreateView(self.name, view) for view in wanted.views),
        ]
        if replication is not None:
            self._check_copies(replication)

    def _replication(self) -> Mapping[str, str] | None:
        """What a new keyspace gets; None where nobody says it."""
        stated = self._stated()
        if stated is not None:
            return stated
        centres = self.cluster.centres
        if sum(centres.values()) > 1:
            example = ",".join(f"{name}={min(count, 3)}" for name, count in sorted(centres.items()))
            self._refuse("", f"nothing says how many copies {self._nodes()} keep: set SUN_CQL_REPLICATION={example}")
            return None
        return {"class": "NetworkTopologyStrategy"} | dict.fromkeys(centres, "1")

    def _stated(self) -> dict[str, str] | None:
        if self.configured:
            copies = {name: str(count) for name, count in self.configured.items()}
            return {"class": "NetworkTopologyStrategy"} | copies
        return self.wanted.replication

    def _nodes(self) -> str:
        centres = sorted(self.cluster.centres.items())
        return ", ".join(f"the {count} node{'s' if count > 1 else ''} of {name}" for name, count in centres)

    def _check_copies(self, replication: Mapping[str, str]) -> None:
        copies = expanded(replication, self.cluster.centres)
        if copies.pop("class") != "NetworkTopologyStrategy":
            return
        for name, count in sorted(copies.items()):
            nodes = self.cluster.centres.get(name)
            if nodes is None:
                there = ", ".join(sorted(self.cluster.centres))
                self._refuse("", f"its replication names {name}: the cluster has no such data centre, but {there}")
            elif count.isdecimal() and int(count) > nodes:
                text = f"its replication asks for {count} copies in {name}, which has {nodes}: quorums may not be had"
                self._note("", text)

    def _itself(self, has: described.Keyspace) -> None:
        stated = self._stated()
        alter = f"ALTER KEYSPACE {quoted(self.place)} WITH"
        if stated is not None and not same_replication(stated, has.replication, self.cluster.centres):
            there = literal(expanded(has.replication, self.cluster.centres))
            who = "the configuration" if self.configured else "the schema"
            mend = f"{alter} replication = {literal(stated)}, and then repair it"
            self._note("", f"its replication is {there}, {who} says {literal(stated)}: {mend}")
        if self.wanted.durable_writes != has.durable_writes:
            stated_writes = literal(self.wanted.durable_writes)
            text = f"durable_writes is {literal(has.durable_writes)}, the schema says {stated_writes}"
            self._note("", f"{text}: {alter} durable_writes = {stated_writes}")

    # types

    def _type(self, has: described.Keyspace, type: UserType) -> None:
        fields = has.types.get(type.name)
        if fields is None:
            self.made.changes.append(CreateType(self.name, type))
            return
        for wanted, there in zip(type.fields, fields, strict=False):
            if wanted.name != there.name or not same_type(wanted.type, there.type):
                self._field(type, wanted, there)
                return
        for there in fields[len(type.fields) :]:
            self._note(f"{type.name}.{there.name}", "the field is not in the schema")
        missing = type.fields[len(fields) :]
        users = sorted(_keyed_by(has, type.name)) if missing else []
        if users:
            text = f"the field is missing, and a type in the partition key of {', '.join(users)} gets no more: {_COPY}"
            self._refuse(f"{type.name}.{missing[0].name}", text)
            return
        self.made.changes += [AddField(self.name, type.name, each) for each in missing]

    def _field(self, type: UserType, wanted: Field, there: Field) -> None:
        """Fields are kept in their order: one that is new can only come last."""
        what = f"{type.name}.{wanted.name}"
        if wanted.name == there.name:
            text = f"the cluster has {there.type}, the schema {wanted.type}: a type can't be changed; "
            self._refuse(what, f"{text}add a field of another name")
        else:
            text = f"the cluster has the field {there.name} in its place: fields stay in their order, "
            self._refuse(what, f"{text}so put those that are new behind the others")

    # tables

    def _table(self, has: described.Keyspace, table: Table) -> None:
        there = has.tables.get(table.name)
        if table.name in has.views:
            self._refuse(table.name, f"the cluster has a materialized view of this name: {self._drop_view(table.name)}")
        elif there is None:
            self.made.changes.append(CreateTable(self.name, table))
        elif self._same_key(table, there):
            self._columns(table, there)
            self._options("TABLE", table, there.options)

    def _same_key(self, wanted: Table | View, there: described.Table | described.View) -> bool:
        """Whether the key is the schema's in every respect; if not, that is refused."""
        own, others = _key(wanted), _key(there)
        if own == others:
            alike = [self._same_key_column(wanted, there, name) for name in (*own[0], *own[1])]
            return all(alike)
        text = f"the cluster's key is {_key_text(*others)}, the schema's {_key_text(*own)}: "
        columns = {column.name: column for column in wanted.columns}
        pairs = list(zip((*others[0], *others[1]), (*own[0], *own[1]), strict=False))
        renamed = [(old, new) for old, new in pairs if old != new]
        alike = all(same_type(there.columns[old].type, columns[new].type) for old, new in pairs)
        alike = alike and not any(new in there.columns for _, new in renamed)
        if isinstance(wanted, Table) and alike and [len(part) for part in own] == [len(part) for part in others]:
            renames = " AND ".join(f"{quoted(old)} TO {quoted(new)}" for old, new in renamed)
            text += f"if they are the same, ALTER TABLE {self._at(wanted.name)} RENAME {renames}; if not, {_COPY}"
        else:
            text += f"a key can't be changed; {self._anew(wanted)}"
        self._refuse(wanted.name, text)
        return False

    def _same_key_column(self, wanted: Table | View, there: described.Table | described.View, name: str) -> bool:
        own = next(column for column in wanted.columns if column.name == name)
        other = there.columns[name]
        what = f"{wanted.name}.{name}"
        if not same_type(own.type, other.type):
            text = f"the cluster has {other.type}, the schema {own.type}: the type of a key can't be changed"
            self._refuse(what, f"{text}; {self._anew(wanted)}")
        elif own.descending != other.descending:
            text = f"the cluster has it {_order(other)}, the schema {_order(own)}: an order can't be changed"
            self._refuse(what, f"{text}; {self._anew(wanted)}")
        else:
            return True
        return False

    def _anew(self, wanted: Table | View) -> str:
        return _COPY if isinstance(wanted, Table) else self._drop_view(wanted.name)

    def _columns(self, table: Table, there: described.Table) -> None:
        if self._is_mixed(table, there):
            return
        for column in table.columns:
            what = f"{table.name}.{column.name}"
            other, former = there.columns.get(column.name), there.dropped.get(column.name)
            if other is None and former is not None and not _may_return(column, former):
                text = f"it was dropped there as {told(former)}, and can't come back as {told(column)}"
                self._refuse(what, f"{text}: give the column another name")
            elif other is None:
                self.made.changes.append(AddColumn(self.name, table.name, column))
            elif other.kind != column.kind or not same_type(other.type, column.type):
                part = "the type of a column" if other.kind == column.kind else "whether a column is static"
                text = f"the cluster has {told(other)}, the schema {told(column)}: {part} can't be changed"
                self._refuse(what, f"{text}; add a column of another name")
        own = {column.name for column in table.columns}
        for name in sorted(there.columns.keys() - own):
            self._note(f"{table.name}.{name}", "the column is not in the schema")

    def _is_mixed(self, table: Table, there: described.Table) -> bool:
        """Whether one of them holds counters and the other does not, which is settled when a table is made."""
        holds = any(column.type == "counter" for column in table.columns)
        if holds == there.is_counter:
            return False
        words = {True: "one of counters", False: "no table of counters"}
        text = f"the cluster's is {words[there.is_counter]}, the schema's {words[holds]}"
        self._refuse(table.name, f"{text}: this can't be changed; {_COPY}")
        return True

    def _options(self, kind: str, wanted: Table | View, has: Mapping[str, object]) -> None:
        for name, stated in wanted.options.items():
            if name in has and not same(name, stated, has[name]):
                self._option(kind, wanted.name, name, stated, has[name])

    def _option(self, kind: str, table: str, name: str, stated: Option, has: object) -> None:
        text = f"{name} is {literal(has) if has is not None else 'not set'}, the schema says {literal(stated)}"
        self._note(table, f"{text}: ALTER {kind} {self._at(table)} WITH {name} = {literal(stated)}")

    # indexes and views

    def _index(self, has: described.Keyspace, index: Index) -> None:
        there = has.indexes.get(index.name)
        if there is not None:
            if not _same_index(index, there):
                text = f"the cluster's index is {_index_text(there)}, the schema's {_index_text(index)}"
                self._refuse(index.name, f"{text}: DROP INDEX {self._at(index.name)}, and it is made anew")
            return
        other = next((name for name, each in sorted(has.indexes.items()) if _same_index(index, each)), None)
        if other is None:
            self.made.changes.append(CreateIndex(self.name, index))
        else:
            self._note(index.name, f"the cluster has this index of {index.table} as {other}, which does as well")

    def _view(self, has: described.Keyspace, view: View) -> None:
        there = has.views.get(view.name)
        if view.name in has.tables:
            self._refuse(view.name, f"the cluster has a table of this name: give the view another one, or {_COPY}")
        elif there is None:
            self.made.changes.append(CreateView(self.name, view))
        elif there.base != view.base:
            text = f"the cluster's view is of {there.base}, the schema's of {view.base}"
            self._refuse(view.name, f"{text}: {self._drop_view(view.name)}")
        elif self._same_key(view, there):
            self._view_content(has, view, there)
            self._options("MATERIALIZED VIEW", view, there.options)

    def _view_content(self, has: described.Keyspace, view: View, there: described.View) -> None:
        if conditions(view.where) != conditions(there.where):
            text = f"the cluster's view has WHERE {there.where}, the schema's WHERE {view.where}"
            self._refuse(view.name, f"{text}: {self._drop_view(view.name)}")
            return
        base = has.tables.get(view.base)
        for column in view.columns:
            # One that selects all gets what its base gets.
            coming = there.selects_all and base is not None and column.name not in base.columns
            if column.name not in there.columns and not coming:
                text = "the view on the cluster has no such column, and none can be added to a view"
                self._refuse(f"{view.name}.{column.name}", f"{text}: {self._drop_view(view.name)}")
        for name in sorted(there.columns.keys() - {column.name for column in view.columns}):
            self._note(f"{view.name}.{name}", "the column is not in the schema")

    def _drop_view(self, name: str) -> str:
        return f"DROP MATERIALIZED VIEW {self._at(name)}, and it is made anew"

    def _at(self, name: str) -> str:
        return f"{quoted(self.place)}.{quoted(name)}"

    # what only the cluster has

    def _others(self, has: described.Keyspace) -> None:
        wanted = self.wanted
        for name in sorted(has.types.keys() - {type.name for type in wanted.types}):
            self._note(name, "the type is not in the schema")
        tables = {table.name for table in wanted.tables} | {view.name for view in wanted.views}
        for name in sorted(has.tables.keys() - tables):
            self._note(name, "the table is not in the schema")
        indexes = {index.name for index in wanted.indexes}
        for name, index in sorted(has.indexes.items()):
            if name not in indexes and not any(_same_index(each, index) for each in wanted.indexes):
                self._note(name, f"the index of {index.table} is not in the schema")
        for name in sorted(has.views.keys() - tables):
            self._note(name, f"the view of {has.views[name].base} is not in the schema")


def _key(table: Table | View | described.Table | described.View) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(table.partition_key), tuple(table.clustering)


def _key_text(partition: Sequence[str], clustering: Sequence[str]) -> str:
    first = ", ".join(partition)
    return f"({', '.join((f'({first})', *clustering))})"


def _order(column: Column) -> str:
    return "descending" if column.descending else "ascending"


def _may_return(column: Column, former: Column) -> bool:
    """Whether Cassandra takes a column that was dropped once, whose old cells may be there yet."""
    return column.kind == former.kind and same_type(column.type, former.type) and column.type != "counter"


def _same_index(index: Index, there: described.Index) -> bool:
    own = (index.table, index.column, index.target, index.custom)
    return own == (there.table, there.column, there.target, there.custom) and same_index(index.options, there.options)


def _index_text(index: Index | described.Index) -> str:
    target = f"{index.target}({index.column})" if index.target else index.column
    text = f"of {index.table} ({target})"
    if index.custom is not None:
        text += f" USING {literal(index.custom)}"
    return f"{text} WITH OPTIONS = {literal(index.options)}" if index.options else text


def _keyed_by(has: described.Keyspace, type: str) -> Iterator[str]:
    """The tables with this type in their partition key, in whatever depth."""
    holding = {type}
    while (
        more := {name for name, fields in has.types.items() if any(type_names(each.type) & holding for each in fields)}
        - holding
    ):
        holding |= more
    for name, table in has.tables.items():
        if any(type_names(table.columns[column].type) & holding for column in table.partition_key):
            yield name
