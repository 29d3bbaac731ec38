"""What is wrong with a schema, and where: positions, diagnostics and their collector.

Not for failures of the tool itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a schema file. `line` and `column` count from 1; `file` is relative to the project."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, order=True)
class Diagnostic:
    """One error of a schema. `code` is stable and short (`unknown-type`); `message` names the value and what to do."""

    position: Position
    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.position}: {self.code}: {self.message}"


class SchemaError(Exception):
    """The schema is refused; `diagnostics` holds every error found, sorted by place."""

    def __init__(self, diagnostics: list[Diagnostic]) -> None:
        self.diagnostics = sorted(set(diagnostics))
        super().__init__("\n".join(str(diagnostic) for diagnostic in self.diagnostics))


@dataclass(slots=True)
class Diagnostics:
    """Collects errors, so that a person sees all of them at once, and notes of what is passed over."""

    found: list[Diagnostic] = field(default_factory=list[Diagnostic])
    notes: list[Diagnostic] = field(default_factory=list[Diagnostic])

    def error(self, position: Position, code: str, message: str) -> None:
        self.found.append(Diagnostic(position, code, message))

    def note(self, position: Position, message: str) -> None:
        """Something that is no part of what Sun makes, and that the schema is as good without."""
        self.notes.append(Diagnostic(position, "note", message))

    def raise_if_any(self) -> None:
        """Raise SchemaError when an error was collected."""
        if self.found:
            raise SchemaError(self.found)
