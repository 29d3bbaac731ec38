"""The Jinja2 environment of every walker.

Templates hold loops; whatever needs a decision is decided before they run.
"""

from __future__ import annotations

import functools
from pathlib import Path

import jinja2

FOLDER = Path(__file__).parent.parent / "templates"


@functools.cache
def environment() -> jinja2.Environment:
    """Strict: a name that the walker did not give is an error, not an empty string."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )


def render(template: str, **values: object) -> str:
    """The text of `template`, a path under `templates/`."""
    return environment().get_template(template).render(**values)
