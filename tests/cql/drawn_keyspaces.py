"""Random keyspaces, as text of a schema file.

Drawn with dice of their own, from a seed: tables cost a server too much to make new ones for every example.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

# Reserved words, methods and parameters of a DAO, and what is odd in other ways.
_COLUMNS = (
    "a b c d e f g h id name value key ttl timestamp text type row after before tokens get slice scan by_a partitions "
    "counter writetime lambda"
).split()
_QUOTED = (
    "Mixed",
    "Mixed Case",
    "select",
    "from",
    "order",
    "class",
    "limit",
    "in",
    "é",
    'quo"te',
    "a-b",
    "1st",
    "_x",
    "%s",
)
_TABLES = ("item", "things", "user_data", '"Mixed_Case"', '"select"', "t1", "a_b_c", "class", '"order"')
_KEYABLE = (
    "ascii text varchar tinyint smallint int bigint varint float double decimal boolean blob uuid timeuuid inet date "
    "time timestamp"
).split()
_VALUES = (*_KEYABLE, "duration")
_SAI = (
    "text int bigint smallint tinyint varint decimal double float date time timestamp inet uuid timeuuid boolean"
).split()


@dataclass
class _Table:
    name: str
    lines: list[str] = field(default_factory=list)
    indexes: list[str] = field(default_factory=list)
    kinds: dict[str, str] = field(default_factory=dict)  # type by column
    partition: list[str] = field(default_factory=list)
    clustering: list[str] = field(default_factory=list)
    statics: list[str] = field(default_factory=list)
    order: dict[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> list[str]:
        """The columns outside of the key that are not static."""
        apart = {*self.partition, *self.clustering, *self.statics}
        return [column for column in self.kinds if column not in apart]


class _Dice:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.types: dict[str, bool] = {}  # user-defined types, and whether one holds a duration
        self.made: list[str] = []

    def often(self, share: float) -> bool:
        return self.random.random() < share

    # types

    def scalar(self, *, ordered: bool) -> str:
        return self.random.choice(_KEYABLE if ordered else _VALUES)

    def inner(self, depth: int = 0, *, ordered: bool = False) -> str:
        """A type that stands in another, or in a key where it is `ordered`: without durations."""
        if depth > 1 or self.often(0.7):
            return self.scalar(ordered=ordered)
        return f"frozen<{self.composite(depth + 1, ordered=ordered)}>"

    def composite(self, depth: int, *, ordered: bool) -> str:
        types = [name for name, has_duration in self.types.items() if not (ordered and has_duration)]
        match self.random.choice(("list", "set", "map", "tuple", "vector", *["type"] * bool(types))):
            case "list":
                return f"list<{self.inner(depth, ordered=ordered)}>"
            case "set":
                return f"set<{self.inner(depth, ordered=True)}>"
            case "map":
                return f"map<{self.inner(depth, ordered=True)}, {self.inner(depth, ordered=ordered)}>"
            case "tuple":
                items = (self.inner(depth, ordered=ordered) for _ in range(self.random.randint(1, 3)))
                return f"tuple<{', '.join(items)}>"
            case "vector":
                return f"vector<{self.inner(depth, ordered=ordered)}, {self.random.randint(1, 3)}>"
            case _:
                return self.random.choice(types)

    def value(self) -> str:
        """The type of a column outside of the key: whole, or in parts."""
        if self.often(0.45):
            return self.scalar(ordered=False)
        found = self.composite(0, ordered=False)
        return f"frozen<{found}>" if self.often(0.25) else found

    def key(self) -> str:
        return self.scalar(ordered=True) if self.often(0.8) else f"frozen<{self.composite(0, ordered=True)}>"

    def user_type(self, name: str) -> None:
        fields = [f"{each} {self.inner()}" for each in self.random.sample(_COLUMNS[:8], self.random.randint(1, 4))]
        self.made.append(f"CREATE TYPE {name} (\n  " + ",\n  ".join(fields) + "\n);\n")
        self.types[name] = any("duration" in each for each in fields) or any(
            has_duration and other in each for other, has_duration in self.types.items() for each in fields
        )

    # tables

    def table(self, name: str) -> None:
        names = iter(self.random.sample(_COLUMNS, 14))
        quoted = iter(self.random.sample(_QUOTED, 5))
        table = _Table(name)

        def column(kind: str, tail: str = "") -> str:
            found = f'"{next(quoted).replace(chr(34), chr(34) * 2)}"' if self.often(0.12) else next(names)
            table.kinds[found] = kind
            table.lines.append(f"{found} {kind}{tail}")
            return found

        table.partition = [column(self.key()) for _ in range(self.random.choice((1, 1, 2, 3)))]
        table.clustering = [column(self.key()) for _ in range(self.random.choice((0, 1, 1, 2, 3)))]
        is_counter = self.often(0.12)
        for _ in range(self.random.choice((0, 0, 1, 2)) if table.clustering else 0):
            table.statics.append(column("counter" if is_counter else self.value(), " STATIC"))
        for _ in range(self.random.randint(1, 3) if is_counter else self.random.choice((0, 2, 3, 4, 5, 6))):
            column("counter" if is_counter else self.value())
        table.order = {each: self.random.choice(("ASC", "DESC")) for each in table.clustering}
        if not is_counter:
            self.index(table)
        self.write(table, with_ttl=not is_counter and self.often(0.15))
        if not is_counter and self.often(0.2):
            self.view(table)

    def index(self, table: _Table) -> None:
        for column, kind in table.kinds.items():
            if self.often(0.7) or "duration" in kind or any(held for each, held in self.types.items() if each in kind):
                continue
            if table.partition == [column]:
                continue
            target, tail = column, ""
            if kind.startswith(("list<", "set<")):
                target = self.random.choice((column, f"values({column})"))
            elif kind.startswith("map<"):
                target = f"{self.random.choice(('keys', 'values', 'entries'))}({column})"
            elif kind.startswith(("frozen<list", "frozen<set", "frozen<map")):
                target = f"full({column})"
            elif kind.startswith(("frozen<", "vector<")) or kind in self.types:
                continue
            elif kind in _SAI and column.isidentifier() and self.often(0.25):  # 'sai' takes no other names
                tail = " USING 'sai'"
            number = sum(text.count("INDEX") for text in self.made) + len(table.indexes)
            custom = "CUSTOM " if tail else ""
            table.indexes.append(f"CREATE {custom}INDEX index_{number} ON {table.name} ({target}){tail};\n")

    def write(self, table: _Table, *, with_ttl: bool) -> None:
        partition = ", ".join(table.partition)
        key = [f"({partition})" if len(table.partition) > 1 else partition, *table.clustering]
        lines = table.lines
        self.random.shuffle(lines)
        options = [f"CLUSTERING ORDER BY ({', '.join(map(' '.join, table.order.items()))})"] if table.clustering else []
        options += ["default_time_to_live = 500000"] * with_ttl
        body = ",\n".join(f"  {line}" for line in (*lines, f"PRIMARY KEY ({', '.join(key)})"))
        tail = f" WITH {' AND '.join(options)}" if options else ""
        self.made.append(f"CREATE TABLE {table.name} (\n{body}\n){tail};\n")
        self.made += table.indexes

    def view(self, table: _Table) -> None:
        """A materialized view by the same key in another order, perhaps with one column more."""
        key = [*table.partition, *table.clustering]
        fit = [column for column in table.rows if table.kinds[column] in _KEYABLE]
        others = [column for column in table.rows if column not in key]
        self.random.shuffle(key)
        if fit and self.often(0.6):
            key.insert(self.random.randint(0, 1), self.random.choice(fit))
        selected = [*key, *(column for column in others if column not in key and self.often(0.6))]
        partition = self.random.randint(1, min(2, len(key)))
        order = [f"{column} {self.random.choice(('ASC', 'DESC'))}" for column in key[partition:]]
        head = ", ".join(key[:partition])
        name = f"view_{sum('VIEW' in text for text in self.made)}"
        options = f"\n  WITH CLUSTERING ORDER BY ({', '.join(order)})" if order else ""
        self.made.append(
            f"CREATE MATERIALIZED VIEW {name} AS\n  SELECT {', '.join(selected)}\n  FROM {table.name}\n"
            f"  WHERE {' AND '.join(f'{column} IS NOT NULL' for column in key)}\n"
            f"  PRIMARY KEY ({', '.join([f'({head})', *key[partition:]])}){options};\n"
        )


def keyspace(seed: int, tables: int) -> str:
    """The text of a keyspace of so many tables, the same for the same seed."""
    dice = _Dice(seed)
    for number in range(dice.random.randint(0, 3)):
        dice.user_type(f"kind_{number}")
    names = list(_TABLES)
    for number in range(tables):
        dice.table(names[number] if number < len(names) else f"table_{number}")
    return "\n".join(dice.made)
