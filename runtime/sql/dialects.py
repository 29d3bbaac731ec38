"""How each engine spells names and placeholders. What an engine does is in `runtime.sql.engines`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Dialect:
    """`name` keys every per-engine choice, `key` every rendered text; `placeholder` stands for one parameter.

    `prefix` comes before the name of each logical database, so that several installations share one server.
    """

    name: str
    quote: str
    placeholder: str
    percent: str  # how a literal % is written beside placeholders
    max_parameters: int
    prefix: str = ""
    key: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", f"{self.name}:{self.prefix}")

    def prefixed(self, prefix: str) -> Dialect:
        """The same dialect for databases whose names begin with `prefix`."""
        return replace(self, prefix=prefix)

    def identifier(self, name: str) -> str:
        return self.quote + name.replace(self.quote, self.quote * 2).replace("%", self.percent) + self.quote

    def table(self, database: str, table: str) -> str:
        """A table as statements name it.

        SQLite keeps every logical database in one file, so that one transaction can span them; its tables are named
        `database.table`.
        """
        if self.name == "sqlite":
            return self.identifier(f"{database}.{table}")
        return f"{self.identifier(self.prefix + database)}.{self.identifier(table)}"


# Parameters of long statements are interpolated by the drivers, so only the packet limits them; the bound keeps one
# statement near 1 MiB.
MYSQL = Dialect("mysql", "`", "%s", "%%", 60_000)
# SQLITE_MAX_VARIABLE_NUMBER is 32766 since SQLite 3.32 (https://www.sqlite.org/limits.html).
SQLITE = Dialect("sqlite", '"', "?", "%", 32_766)
