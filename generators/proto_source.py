"""Where the parts of one proto file stand in its text, and the comments beside them, from protoc's source info."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto, SourceCodeInfo

from generators.diagnostics import Position

# A path leads to a part of a FileDescriptorProto: field numbers and, for repeated fields, indexes
# (google/protobuf/descriptor.proto, SourceCodeInfo.Location).
Path_ = tuple[int, ...]

SYNTAX: Path_ = (FileDescriptorProto.SYNTAX_FIELD_NUMBER,)
EDITION: Path_ = (FileDescriptorProto.EDITION_FIELD_NUMBER,)
PACKAGE: Path_ = (FileDescriptorProto.PACKAGE_FIELD_NUMBER,)


class Source:
    """The places and comments of one file. `shown` is its name in positions; `file` holds its text, if it is known."""

    def __init__(self, descriptor: FileDescriptorProto, shown: str, file: Path | None) -> None:
        self._shown = shown
        self._file = file
        self._lines: list[str] | None = None
        self._locations: dict[Path_, SourceCodeInfo.Location] = {}
        for location in descriptor.source_code_info.location:
            self._locations.setdefault(tuple(location.path), location)

    def position(self, *paths: Path_) -> Position:
        """The start of the first of these parts that the text has."""
        location = self._find(paths)
        if location is None:
            return Position(self._shown, 1, 1)
        return Position(self._shown, location.span[0] + 1, location.span[1] + 1)

    def word(self, word: str, *paths: Path_) -> Position:
        """Where `word` stands inside the first of these parts that the text has, or else the start of that part.

        protoc keeps no places inside `{…}` of an option, so the text is searched.
        """
        location = self._find(paths)
        if location is not None:
            first, start, *rest = location.span
            last, end = rest if len(rest) == 2 else (first, rest[0])
            pattern = re.compile(rf"(?<![\w.]){re.escape(word)}(?!\w)")
            for number, line in enumerate(self._text()[first : last + 1], first):
                # protoc counts a tab as up to eight columns; in a line with tabs its columns say nothing of characters.
                tabs = "\t" in line
                found = pattern.search(line, start if number == first and not tabs else 0)
                if found and (tabs or number < last or found.start() < end):
                    return Position(self._shown, number + 1, found.start() + 1)
        return self.position(*paths)

    def comment(self, *paths: Path_) -> str:
        """The comment before, else behind, the first of these parts that has one. Orders to linters are no comment."""
        for path in paths:
            if location := self._locations.get(path):
                lines = (location.leading_comments or location.trailing_comments).splitlines()
                if text := "\n".join(_plain(lines)).strip():
                    return text
        return ""

    def _find(self, paths: Sequence[Path_]) -> SourceCodeInfo.Location | None:
        """The place of the first of these parts that has one, itself or through something inside it."""
        for path in paths:
            if path in self._locations:
                return self._locations[path]
            # `option (sun.error).code = …` has a place for the code, and none for the whole option.
            for longer, location in self._locations.items():
                if longer[: len(path)] == path:
                    return location
        return None

    def _text(self) -> list[str]:
        if self._lines is None:
            self._lines = self._file.read_text(encoding="utf-8").splitlines() if self._file else []
        return self._lines


def _plain(lines: Sequence[str]) -> list[str]:
    return [
        line.strip() if not line.startswith("  ") else line[1:].rstrip() for line in lines if "buf:lint:" not in line
    ]
