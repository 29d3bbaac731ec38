"""The peers of the CQL benchmark: cassandra-driver alone, its object mapper cqlengine, and sqlite3, each used as its
documentation shows.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
from cassandra import ConsistencyLevel
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.cqlengine import columns, connection
from cassandra.cqlengine.models import Model
from cassandra.cqlengine.usertype import UserType
from cassandra.policies import DCAwareRoundRobinPolicy, TokenAwarePolicy
from cassandra.query import tuple_factory

from generated.cql.sun_msg import Message as Row
from generated.cql.sun_msg import MessageDao

Key = tuple[str, int, int]

# A statement by hand names every column that is read, and those that are written.
COLUMNS = ", ".join(MessageDao.table.names)
WRITTEN = (
    "room_key",
    "bucket",
    "message_id",
    "user_id",
    "message_type",
    "text",
    "seq",
    "delivery_status",
    "created_ms",
    "is_hidden",
)
PAGE = 50

_GET = f"SELECT {COLUMNS} FROM message WHERE room_key = ? AND bucket = ? AND message_id = ?"
_PAGE = f"SELECT {COLUMNS} FROM message WHERE room_key = ? AND bucket = ? LIMIT {PAGE}"
_INSERT = f"INSERT INTO message ({', '.join(WRITTEN)}) VALUES ({', '.join('?' * len(WRITTEN))})"


def written(row: Row) -> tuple[Any, ...]:
    return tuple(getattr(row, name) for name in WRITTEN)


def cluster(host: str, port: int, *, tuned: bool = False) -> Cluster:
    tuning: dict[str, Any] = {"row_factory": tuple_factory, "request_timeout": None} if tuned else {}
    profile = ExecutionProfile(
        load_balancing_policy=TokenAwarePolicy(DCAwareRoundRobinPolicy()),
        consistency_level=ConsistencyLevel.LOCAL_QUORUM,  # as ours
        **tuning,
    )
    return Cluster(
        [host], port=port, protocol_version=4 if tuned else 5, execution_profiles={EXEC_PROFILE_DEFAULT: profile}
    )


class BareDriver:
    """Prepared statements; for asyncio each answer is carried to the loop on its own, with call_soon_threadsafe.

    `tuned` is what makes the driver fastest: rows as tuples, no timer of its own, and the protocol's version 4, whose
    frames have no checksums.
    """

    def __init__(self, host: str, port: int, keyspace: str, *, tuned: bool = False) -> None:
        self._cluster = cluster(host, port, tuned=tuned)
        self._session: Any = self._cluster.connect(keyspace)
        self._get, self._page, self._insert = map(self._session.prepare, (_GET, _PAGE, _INSERT))

    def get(self, key: Key) -> asyncio.Future[Any]:
        return self._ask(self._get, key)

    def page(self, key: Key) -> asyncio.Future[Any]:
        return self._ask(self._page, key[:2])

    def insert(self, row: Row) -> asyncio.Future[Any]:
        return self._ask(self._insert, written(row))

    def get_now(self, key: Key) -> Any:
        return self._session.execute(self._get, key).one()

    def close(self) -> None:
        self._cluster.shutdown()

    def _ask(self, statement: Any, values: Sequence[Any]) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()

        def settle(result: Any, error: Exception | None) -> None:
            if not future.done():
                future.set_exception(error) if error else future.set_result(result)

        self._session.execute_async(statement, values).add_callbacks(
            lambda rows: loop.call_soon_threadsafe(settle, rows, None),
            lambda error: loop.call_soon_threadsafe(settle, None, error),
        )
        return future


class _Forwarded(UserType):
    __type_name__ = "forwarded"

    user_id = columns.BigInt()
    room_key = columns.Text()
    message_id = columns.BigInt()


class _Message(Model):
    __table_name__ = "message"

    room_key = columns.Text(partition_key=True)
    bucket = columns.Integer(partition_key=True)
    message_id = columns.BigInt(primary_key=True, clustering_order="DESC")
    user_id = columns.BigInt()
    message_type = columns.TinyInt()
    text = columns.Text()
    seq = columns.BigInt()
    file_ref_id = columns.BigInt()
    post_id = columns.BigInt()
    sticker_id = columns.BigInt()
    forwarded_from = columns.UserDefinedType(_Forwarded)
    reply_to_message_id = columns.BigInt()
    delivery_status = columns.TinyInt()
    created_ms = columns.BigInt()
    delivered_ms = columns.BigInt()
    seen_ms = columns.BigInt()
    edited_ms = columns.BigInt()
    is_hidden = columns.Boolean()
    ttl_seconds = columns.Integer()
    extra = columns.Blob()


class CqlEngine:
    """It knows no asyncio: where calls come side by side, each has a thread."""

    def __init__(self, host: str, port: int, keyspace: str, threads: int) -> None:
        connection.setup([host], keyspace, protocol_version=5, port=port)
        model: Any = _Message
        model.__keyspace__ = keyspace
        self._threads = ThreadPoolExecutor(threads)

    def get_now(self, key: Key) -> _Message:
        room_key, bucket, message_id = key
        return _Message.objects(room_key=room_key, bucket=bucket, message_id=message_id).get()

    def get(self, key: Key) -> asyncio.Future[_Message]:
        return asyncio.get_running_loop().run_in_executor(self._threads, self.get_now, key)

    def close(self) -> None:
        self._threads.shutdown()
        connection.unregister_connection("default")


class BareSqlite:
    """One connection and a file, as safe as the embedded store: the log is flushed before a COMMIT returns."""

    def __init__(self, path: str) -> None:
        self._connection = sqlite3.connect(path)
        for pragma in ("journal_mode = WAL", "synchronous = FULL"):
            self._connection.execute(f"PRAGMA {pragma}").fetchall()
        self._connection.execute(
            f"CREATE TABLE message ({COLUMNS}, PRIMARY KEY (room_key, bucket, message_id)) WITHOUT ROWID"
        )
        self._newest = _PAGE.replace("LIMIT", "ORDER BY message_id DESC LIMIT")
        self._put = _INSERT.replace("INSERT", "INSERT OR REPLACE", 1)

    def get(self, key: Key) -> Any:
        return self._connection.execute(_GET, key).fetchone()

    def page(self, key: Key) -> list[Any]:
        return self._connection.execute(self._newest, key[:2]).fetchall()

    def insert(self, *rows: Row) -> None:
        """In one transaction, each row by a statement of its own."""
        with self._connection:
            for row in rows:
                self._connection.execute(self._put, written(row))

    def close(self) -> None:
        self._connection.close()


def whole(row: Any) -> tuple[Any, ...]:
    """What a row of any side holds, in the order of the columns, so that one can see that they read the same."""
    if isinstance(row, msgspec.Struct):
        return msgspec.structs.astuple(row)
    return tuple(row.values()) if isinstance(row, Model) else tuple(row)
