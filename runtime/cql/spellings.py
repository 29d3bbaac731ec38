"""Whether what a schema says is what a cluster has, which spells much in a way of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from runtime.cql.keyspaces import Option

# What a cluster has where it keeps nothing, and where the schema says what goes without saying.
_UNSET: dict[str, Any] = {"allow_auto_snapshot": True, "cdc": False, "incremental_backups": True, "memtable": "default"}
_ANALYZED = {"case_sensitive": "true", "normalize": "false", "ascii": "false", "similarity_function": "cosine"}
# Names that Cassandra took once, and still takes.
_FORMER = {"chunk_length_kb": "chunk_length_in_kb", "sstable_compression": "class"}
# Options that take 'none' for 'never'.
_SPECULATIVE = ("speculative_retry", "additional_write_policy")
# What `system_schema` has in quotes wherever it names a type: the reserved words of Cassandra 5.0.
_RESERVED = frozenset(
    """
    add allow alter and apply asc authorize batch begin by columnfamily create delete desc describe drop entries execute
    from full grant if in index infinity insert into is keyspace limit materialized modify nan norecursive not null of
    on or order primary rename revoke schema select set table to token truncate unlogged update use using view where
    with
    """.split()
)
_PERCENTILE = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]*)?)p(?:ercentile)?")


def same(name: str, stated: Option, has: Any) -> bool:
    """Whether a table's option is as the schema states it. Of a map, only what is stated counts: the cluster keeps
    what it added.
    """
    if has is None:
        has = _UNSET.get(name)
    if isinstance(stated, dict):
        return _same_map(name, stated, has or {})
    if isinstance(stated, str) and name != "comment":
        if name in _SPECULATIVE and stated.lower() == "none":
            stated = "never"
        return _plain(stated) == _plain(str(has))
    return bool(stated == has)


def _same_map(name: str, stated: Mapping[str, str], has: Mapping[str, str]) -> bool:
    if name == "extensions":
        return {key: value.lower() for key, value in stated.items()} == has
    known = {_FORMER.get(key, key): _plain(str(value)) for key, value in has.items()}
    return all(known.get(_FORMER.get(key, key), "") == _plain(value) for key, value in stated.items())


def _plain(text: str) -> str:
    """A class without its package, a number without its zeros, `99p` for the 99th percentile."""
    text = text.strip().rpartition(".")[2] if re.search(r"\.[A-Za-z]\w*$", text.strip()) else text.strip()
    text = _PERCENTILE.sub(lambda found: f"{float(found['number']):g}p", text.lower())
    return re.sub(r"[0-9]+\.[0-9]+", lambda found: f"{float(found[0]):g}", text)


def same_index(stated: Mapping[str, str], has: Mapping[str, str]) -> bool:
    """Whether the options of an index of 'sai' mean the same."""
    return _analyzed(stated) == _analyzed(has)


def _analyzed(options: Mapping[str, str]) -> dict[str, str]:
    return _ANALYZED | {name.lower(): value.lower() for name, value in options.items()}


def same_replication(stated: Mapping[str, str], has: Mapping[str, str], centres: Mapping[str, int]) -> bool:
    """Whether both keep the same copies; a `replication_factor` for all data centres counts for these `centres`."""
    return expanded(stated, centres) == expanded(has, centres)


def expanded(replication: Mapping[str, str], centres: Mapping[str, int]) -> dict[str, str]:
    """Replication as a cluster keeps it: the class without its package, and every data centre by its name."""
    found = {name: str(value) for name, value in replication.items()}
    found["class"] = found.get("class", "").rpartition(".")[2]
    everywhere = found.get("replication_factor")
    if found["class"] == "NetworkTopologyStrategy" and everywhere is not None:
        del found["replication_factor"]
        found = dict.fromkeys(centres, everywhere) | found
    return {name: value for name, value in found.items() if name == "class" or value != "0"}


_WORD = re.compile(r'"(?:[^"]|"")*"|\w+|[<>]')


def same_type(one: str, other: str) -> bool:
    """Whether two texts are the same type. Within another type all are frozen, whether or not that is said, and so are
    tuples and vectors.
    """
    return _bare(one) == _bare(other)


def _bare(type: str) -> list[str]:
    """The words of a type without `frozen` where that goes without saying."""
    words = _WORD.findall(type)
    kept: list[str] = []
    left_out: list[bool] = []  # of each bracket that is open, whether it is one of those
    for place, word in enumerate(words):
        if word == "<":
            implied = place > 1 or words[place + 1] in ("tuple", "vector")
            left_out.append(words[place - 1] == "frozen" and implied)
            if left_out[-1]:
                kept.pop()
            else:
                kept.append(word)
        elif word != ">" or not left_out.pop():
            kept.append(_named(word))
    return kept


def type_name(name: str) -> str:
    """The name of a user-defined type as `system_schema` spells it."""
    if re.fullmatch("[a-z][a-z0-9_]*", name) and name not in _RESERVED:
        return name
    return '"' + name.replace('"', '""') + '"'


def type_names(type: str) -> set[str]:
    """The words of a type, among them the names of user-defined types."""
    return {_named(word) for word in _WORD.findall(type)}


def _named(word: str) -> str:
    return word[1:-1].replace('""', '"') if word.startswith('"') else word


_TOKEN = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|[A-Za-z0-9_.+-]+|<=|>=|\S""")
_PLAIN = re.compile(r'"([a-z][a-z0-9_]*)"')


def conditions(where: str) -> set[tuple[str, ...]]:
    """The conditions of a view, each as its tokens, in one spelling: Cassandra keeps them in one of its own."""
    found: list[list[str]] = [[]]
    for token in _TOKEN.findall(where):
        plain = _PLAIN.fullmatch(token)
        word = plain[1] if plain else token if token[0] in "'\"" else token.lower()
        if word == "and" and plain is None:
            found.append([])
        else:
            found[-1].append(word)
    return {tuple(tokens) for tokens in found}
