"""From the IR of CQL to Python.

A row class and a DAO for each table and materialized view, a class for each user-defined type, and what each keyspace
must have.
"""

from __future__ import annotations

from dataclasses import dataclass

from generators import cql_ddl, ir
from generators.artifacts import Artifact, Target
from generators.cql_constants import python_constant
from generators.cql_dao import TableViews, finder_name, indented, is_equal_only
from generators.cql_python import annotation, constructor, user_types
from generators.diagnostics import Diagnostics, Position
from generators.python_names import cql_column, table_class, table_module, user_field
from generators.sql_walker import declared_enums
from generators.templates import render

TYPES_MODULE = "_types"
SCHEMA_MODULE = "_schema"
KEYSPACE = "KEYSPACE"
