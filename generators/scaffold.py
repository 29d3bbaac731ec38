"""A new project: the files of `templates/init` copied into an empty folder. Generating it is the pipeline's work."""

from __future__ import annotations

from pathlib import Path

from generators.templates import FOLDER


def make(folder: Path) -> list[str]:
    """Write the small project and name its files. Raises FileExistsError for a folder that isn't empty."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} is there already and not empty")
    source = FOLDER / "init"
    made: list[str] = []
    for file in sorted(source.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            # A package's data leaves dot files out, so this one has no dot here.
            path = file.relative_to(source).as_posix().replace("gitignore", ".gitignore")
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
            made.append(path)
    return made
