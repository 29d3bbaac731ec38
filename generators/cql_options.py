"""Reads what stands behind WITH: the options of tables, views, indexes and keyspaces, one spelling for each value."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from generators import ir
from generators.cql_reader import CqlReader, text_of
from generators.sql_scanner import Refused, Token


@dataclass(frozen=True, slots=True)
class _Rule:
    kind: type[int] | type[float] | type[bool] | type[str] | type[tuple[object, ...]]
    least: float = 0
    most: float = 2**31 - 1


# What Cassandra 5.0 knows, with the bounds that it names when they are passed.
_TABLE_RULES = {
    "additional_write_policy": _Rule(str),
    "allow_auto_snapshot": _Rule(bool),
    "bloom_filter_fp_chance": _Rule(float, 6.71e-5, 1),
    "caching": _Rule(tuple),
    "cdc": _Rule(bool),
    "comment": _Rule(str),
    "compaction": _Rule(tuple),
    "compression": _Rule(tuple),
    "crc_check_chance": _Rule(float, 0, 1),
    "default_time_to_live": _Rule(int, 0, 630_720_000),
    "extensions": _Rule(tuple),
    "gc_grace_seconds": _Rule(int),
    "incremental_backups": _Rule(bool),
    "max_index_interval": _Rule(int, 1),
    "memtable": _Rule(str),
    "memtable_flush_period_in_ms": _Rule(int),
    "min_index_interval": _Rule(int, 1),
    "read_repair": _Rule(str),
    "speculative_retry": _Rule(str),
}
# Of older versions; they tuned what is tuned otherwise or not at all since, and changed no result.
_GONE = frozenset(
    """
    dclocal_read_repair_chance index_interval populate_io_cache_on_flush read_repair_chance replicate_on_write
    """.split()
)
_TRUE, _FALSE = ("true", "yes", "1"), ("false", "no", "0")


@dataclass(slots=True)
class Options:
    values: dict[str, ir.Option] = field(default_factory=dict[str, ir.Option])
    places: dict[str, int] = field(default_factory=dict[str, int])
    order: list[tuple[Token, bool]] = field(default_factory=list[tuple[Token, bool]])  # of clustering, and whether DESC

    @property
    def kept(self) -> tuple[tuple[str, ir.Option], ...]:
        """As the IR has them: a table's comment and clustering order stand elsewhere in it."""
        return tuple((name, value) for name, value in self.values.items() if name != "comment")

    @property
    def comment(self) -> str:
        return str(self.values.get("comment", ""))


def read_table_options(reader: CqlReader, note: Callable[[int, str], None]) -> Options:
    """The rest of a CREATE TABLE or VIEW; `note` hears of what is passed over. Raises Refused."""
    options = Options()
    if reader.accept("WITH"):
        _table_option(reader, options, note)
        while reader.accept("AND"):
            _table_option(reader, options, note)
    reader.done("the options" if options.values or options.order else "`)`")
    low, high = options.values.get("min_index_interval", 128), options.values.get("max_index_interval", 2048)
    if isinstance(low, int) and isinstance(high, int) and low > high:
        place = options.places.get("max_index_interval", options.places.get("min_index_interval", 0))
        text = f"max_index_interval is {high}, less than min_index_interval, which is {low}"
        raise Refused(place, "bad-option", text)
    return options


def _table_option(reader: CqlReader, options: Options, note: Callable[[int, str], None]) -> None:
    start = reader.here
    if reader.accept("COMPACT", "STORAGE"):
        text = "COMPACT STORAGE is of tables made before CQL, which Cassandra 4 and later refuse: leave it out"
        raise Refused(start, "unsupported", text)
    if reader.accept("CLUSTERING", "ORDER", "BY"):
        _clustering_order(reader, options)
        return
    name = reader.name("an option")
    reader.expect_symbol("=")
    if name.value == "id":
        reader.take("uuid", "the table's id as a UUID")
        note(name.start, "the ID of a table is passed over: the server chooses it")
        return
    if name.value in _GONE:
        _value(reader, name)
        note(name.start, f"option `{name.value}` is passed over: Cassandra 4 and later have it no more")
        return
    rule = _TABLE_RULES.get(name.value)
    if rule is None:
        raise Refused(
            name.start, "unknown-option", f"`{name.shown}` is no option of a table in Cassandra 5: leave it out"
        )
    if name.value in options.values:
        raise Refused(name.start, "bad-option", f"option `{name.value}` is given twice: keep one")
    options.values[name.value] = _checked(name, rule, _value(reader, name))
    options.places[name.value] = name.start


def _clustering_order(reader: CqlReader, options: Options) -> None:
    reader.expect_symbol("(")
    while True:
        name = reader.name("a column")
        if not reader.sees("ASC|DESC"):
            raise reader.unexpected("ASC or DESC")
        options.order.append((name, reader.accept("DESC") or not reader.accept("ASC")))
        if not reader.accept_symbol(","):
            break
    reader.expect_symbol(")")


def _value(reader: CqlReader, name: Token) -> Token | tuple[tuple[str, str], ...]:
    token = reader.peek()
    if token is not None and token.is_symbol("{"):
        return reader.map()
    return reader.constant(f"the value of {name.value}")


def _checked(name: Token, rule: _Rule, value: Token | tuple[tuple[str, str], ...]) -> ir.Option:
    """The value as its option has it: `'5'` is the number 5 where a number is meant, as it is to Cassandra."""
    if rule.kind is tuple:
        if not isinstance(value, tuple):
            raise Refused(value.start, "bad-option", f"option `{name.value}` must be a map: write {{'name': 'value'}}")
        return value
    if isinstance(value, tuple):
        raise Refused(name.start, "bad-option", f"option `{name.value}` can't be a map")
    text = text_of(value)
    if rule.kind is str:
        return text
    if rule.kind is bool:
        if text.lower() not in _TRUE + _FALSE:
            raise Refused(value.start, "bad-option", f"option `{name.value}` is true or false, not `{value.shown}`")
        return text.lower() in _TRUE
    return _number(name, rule, value, text)


def _number(name: Token, rule: _Rule, value: Token, text: str) -> ir.Option:
    whole = rule.kind is int
    form = r"-?[0-9]{1,18}" if whole else r"-?[0-9]{1,40}(\.[0-9]{0,40})?([eE][+-]?[0-9]{1,3})?"
    if not re.fullmatch(form, text, re.ASCII):
        what = "a whole number" if whole else "a number"
        raise Refused(value.start, "bad-option", f"option `{name.value}` must be {what}, not `{value.shown}`")
    found = int(text) if whole else float(text)
    if not rule.least <= found <= rule.most or not math.isfinite(found):
        bounds = f"within {rule.least} and {rule.most}"
        raise Refused(value.start, "bad-option", f"option `{name.value}` must be {bounds}, and {value.shown} is not")
    return found


def read_keyspace_options(reader: CqlReader) -> tuple[tuple[tuple[str, str], ...], bool]:
    """`WITH replication = {…} AND durable_writes = …` as both values. Raises Refused."""
    start = reader.here
    replication: tuple[tuple[str, str], ...] | None = None
    durable: bool | None = None
    reader.expect("WITH")
    while True:
        name = reader.name("an option")
        reader.expect_symbol("=")
        value = _value(reader, name)
        if name.value not in ("replication", "durable_writes"):
            text = f"`{name.shown}` is no option of a keyspace: there are replication and durable_writes"
            raise Refused(name.start, "unknown-option", text)
        if (replication if name.value == "replication" else durable) is not None:
            raise Refused(name.start, "bad-option", f"option `{name.value}` is given twice: keep one")
        if name.value == "durable_writes":
            durable = bool(_checked(name, _Rule(bool), value))
        else:
            if not isinstance(value, tuple):
                raise Refused(value.start, "bad-option", "option `replication` must be a map: write {'class': …}")
            if "class" not in dict(value):
                raise Refused(name.start, "bad-option", "replication needs a class: 'SimpleStrategy' or another")
            replication = value
        if not reader.accept("AND"):
            break
    reader.done("the options")
    if replication is None:
        raise Refused(start, "bad-option", "a keyspace needs replication: write WITH replication = {'class': …}")
    return replication, durable is not False
