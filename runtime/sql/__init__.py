"""SQL as values and the databases that run them. Generated code imports from here."""

from __future__ import annotations

from runtime.sql.cache import CacheRule
from runtime.sql.dao import PAGE, Dao, Finder
from runtime.sql.effects import Deleted, Hooks, Updated
from runtime.sql.expressions import Column, Condition, NullableColumn
from runtime.sql.messages import RowMessage
from runtime.sql.queries import Delete, Query, Select, Update
from runtime.sql.raw import raw, raw_write
from runtime.sql.tables import Row, Table

__all__ = [
    "PAGE",
    "CacheRule",
    "Column",
    "Condition",
    "Dao",
    "Delete",
    "Deleted",
    "Finder",
    "Hooks",
    "NullableColumn",
    "Query",
    "Row",
    "RowMessage",
    "Select",
    "Table",
    "Update",
    "Updated",
    "raw",
    "raw_write",
]
