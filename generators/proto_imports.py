"""Collects the imports of one generated module, so that no imported name hides a name of the module itself."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# Packages of the framework and of the application; what is neither theirs nor Python's own is third-party.
_FIRST_PARTY = frozenset({"generated", "runtime"})


@dataclass(slots=True)
class _Import:
    package: str  # empty for `import name`
    name: str
    local: str
    late: bool

    @property
    def order(self) -> tuple[object, ...]:
        """As isort orders: Python's own, third-party, ours; modules before names; constants, classes, then the rest."""
        top = (self.package or self.name).split(".")[0]
        section = 2 if top in _FIRST_PARTY else 0 if top in sys.stdlib_module_names else 1
        kind = 0 if self.name.isupper() else 1 if self.name[:1].isupper() else 2
        return section, bool(self.package), self.package, self.local != self.name, kind, self.name


class Imports:
    """`taken` are the names that the module defines: an import that would hide one gets trailing underscores."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)
        self._found: dict[tuple[str, str], _Import] = {}

    def name(self, package: str, name: str, *, local: str | None = None, late: bool = False) -> str:
        """The local name of `from package import name`. A `late` import stands below the module's first definitions."""
        if (package, name) not in self._found:
            self._found[package, name] = _Import(package, name, self.fresh(local or name), late)
        return self._found[package, name].local

    def module(self, name: str) -> str:
        """The local name of `import name`."""
        return self.name("", name)

    def fresh(self, name: str) -> str:
        """`name`, with as many trailing underscores as make it new; it counts as taken from now on."""
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name

    def lines(self, *, late: bool = False) -> list[str]:
        """The statements, in isort's order, with an empty line between sections."""
        found = sorted((each for each in self._found.values() if each.late == late), key=lambda each: each.order)
        lines: list[str] = []
        section = None
        for group in _grouped(found):
            if section is not None and group[0].order[0] != section:
                lines.append("")
            section = group[0].order[0]
            names = ", ".join(_spelled(each) for each in group)
            line = f"from {group[0].package} import {names}" if group[0].package else f"import {names}"
            private = any(each.name.startswith("_") for each in group)
            lines.append(f"{line}  # pyright: ignore[reportPrivateUsage]" if private else line)
        return lines


def _grouped(found: Iterable[_Import]) -> Iterator[list[_Import]]:
    """What one statement imports: the plain names of a package together, everything else alone."""
    group: list[_Import] = []
    for each in found:
        plain = each.package and each.local == each.name
        if group and not (plain and group[0].package == each.package and group[0].local == group[0].name):
            yield group
            group = []
        group.append(each)
    if group:
        yield group


def _spelled(each: _Import) -> str:
    return each.name if each.local == each.name else f"{each.name} as {each.local}"
