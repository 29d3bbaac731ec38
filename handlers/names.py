"""Names for people, which need not be unique: how they are kept, shown and searched."""

from __future__ import annotations

import unicodedata

from runtime.rpc.bad_request import bad_request
from runtime.rpc.service import Violation


def tidy(name: str) -> str:
    """A name as it is shown: without control characters, and with single spaces within."""
    visible = "".join(" " if unicodedata.category(each) == "Cc" else each for each in name)
    return " ".join(visible.split())


def required(field: str, name: str) -> str:
    """`tidy`, and something of it must be left. Raises BadRequest that names the request's field."""
    tidied = tidy(name)
    if not tidied:
        raise bad_request([Violation(field, "min_len", "write a name that can be seen")])
    return tidied


def searchable(name: str) -> str:
    """A name as it is searched. Lower case can be longer than the name, and the column is not."""
    return name.lower()[:64]
