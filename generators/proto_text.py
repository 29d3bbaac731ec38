"""Pieces of Python text that the protobuf walker writes: docstrings and literals."""

from __future__ import annotations

from collections.abc import Iterable


def docstring(text: str) -> str:
    """A docstring, quotes included, whose lines are not yet indented; empty for no text."""
    if not text:
        return ""
    plain = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    if "\n" in plain:
        return f'"""{plain}\n"""'
    return f'"""{plain} """' if plain.endswith('"') else f'"""{plain}"""'


def paragraphs(*texts: str) -> str:
    """The texts that are not empty, an empty line between them."""
    return "\n\n".join(text for text in texts if text)


def literal(text: str) -> str:
    """A string literal with double quotes where it can be, raw where that spares backslashes."""
    if "\\" in text and '"' not in text and text.isprintable() and not text.endswith("\\"):
        return f'r"{text}"'
    shown = repr(text)
    return f'"{shown[1:-1]}"' if shown.startswith("'") and '"' not in text else shown


def row(items: Iterable[str]) -> str:
    """A tuple of expressions."""
    found = list(items)
    return f"({found[0]},)" if len(found) == 1 else f"({', '.join(found)})"


def count(number: int, unit: str) -> str:
    """`1 item`, `2 items`."""
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"
