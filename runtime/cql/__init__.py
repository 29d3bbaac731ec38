"""CQL as values and the stores that run them. Generated code imports from here."""

from __future__ import annotations

from runtime.cql.batches import batch, counter_batch, unlogged_batch
from runtime.cql.columns import CollectionColumn, Column, Condition, KeyColumn
from runtime.cql.dao import Dao, Key, Lookup, WritableDao
from runtime.cql.messages import RowMessage
from runtime.cql.queries import Found, Get, Many, Pages, Query, Rows, Scan, Slice
from runtime.cql.statements import NULL
from runtime.cql.tables import Index, Row, Table, View
from runtime.cql.tokens import TokenRange, token_ranges
from runtime.cql.values import Duration, FrozenMap, UserType
from runtime.cql.writes import Applied, Conditional, Delete, Increment, Insert, RangeDelete, Update

__all__ = [
    "NULL",
    "Applied",
    "CollectionColumn",
    "Column",
    "Condition",
    "Conditional",
    "Dao",
    "Delete",
    "Duration",
    "Found",
    "FrozenMap",
    "Get",
    "Increment",
    "Index",
    "Insert",
    "Key",
    "KeyColumn",
    "Lookup",
    "Many",
    "Pages",
    "Query",
    "RangeDelete",
    "Row",
    "RowMessage",
    "Rows",
    "Scan",
    "Slice",
    "Table",
    "TokenRange",
    "Update",
    "UserType",
    "View",
    "WritableDao",
    "batch",
    "counter_batch",
    "token_ranges",
    "unlogged_batch",
]
