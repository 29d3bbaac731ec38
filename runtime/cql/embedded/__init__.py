"""The wide-column store inside the process, on SQLite."""

from __future__ import annotations

from runtime.cql.embedded.engine import EmbeddedEngine

__all__ = ["EmbeddedEngine"]
