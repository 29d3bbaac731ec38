"""What both MySQL drivers share: how a session is set up, and what an error number means. No IO."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from runtime.sql.database import How
from runtime.sql.dialects import MYSQL, Dialect
from runtime.sql.errors import (
    CheckViolation,
    Conflict,
    ForeignKeyViolation,
    InvalidValue,
    MissingTable,
    SqlError,
    Unavailable,
    UniqueViolation,
)
from runtime.sql.urls import MysqlUrl

# A value that does not fit is an error, never cut; 0 in an AUTO_INCREMENT column is 0, as on SQLite; and backslashes
# escape, which LIKE's ESCAPE clause and the drivers' quoting count on.
_MODE = ",".join(
    (
        "STRICT_ALL_TABLES",
        "NO_ZERO_DATE",
        "NO_ZERO_IN_DATE",
        "ERROR_FOR_DIVISION_BY_ZERO",
        "NO_AUTO_VALUE_ON_ZERO",
        "NO_ENGINE_SUBSTITUTION",
        "ONLY_FULL_GROUP_BY",
    )
)

SESSION = (
    # 10 s: whoever waits longer for a row lock than any call may last, waits for nothing.
    (
        f"SET SESSION sql_mode = '{_MODE}', time_zone = '+00:00', autocommit = 1, sql_notes = 0, "
        "innodb_lock_wait_timeout = 10"
    ),
    # Each statement sees what is committed, as handlers expect of a read after a write elsewhere; gap locks, the usual
    # cause of deadlocks between inserts, are few; and MariaDB 11's ER_CHECKREAD of REPEATABLE READ does not come up.
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
)

_GONE = 2006  # CR_SERVER_GONE_ERROR


class NotSent(Unavailable):
    """The connection was found closed before the statement was sent whole, so that it may be sent again."""


CLOSES = {1153}
"""Errors that are no lost connection but after which the server closes it."""

MAX_PACKET = "SELECT @@max_allowed_packet"
"""The bytes of the longest statement that the server takes."""


def too_large(table: str, size: int, most: int) -> InvalidValue:
    """What a lost connection means after a statement longer than the server takes.

    The server hangs up while it is being sent, and the reason it gives is often lost with the rest.
    """
    return InvalidValue(f"{table}: a statement of {size} bytes, but the server's max_allowed_packet is {most}")


def size_of(params: Iterable[Any]) -> int:
    """The bytes of the texts and bytes among the parameters: no statement that carries them is shorter."""
    return sum(
        len(each.encode() if isinstance(each, str) else each) for each in params if isinstance(each, (str, bytes))
    )


# https://mariadb.com/kb/en/mariadb-error-code-reference/ and https://dev.mysql.com/doc/mysql-errors/8.4/en/
_UNIQUE = {1062, 1169, 1586}
_MEANINGS: dict[type[SqlError], set[int]] = {
    ForeignKeyViolation: {1216, 1217, 1451, 1452},
    InvalidValue: {
        1048,  # NULL in a NOT NULL column
        1153,  # longer than max_allowed_packet
        1264,  # out of range
        1265,  # not one of the ENUM's values, or cut
        1292,  # wrong date, or wrong number in a condition
        1364,  # no value for a column without a default
        1366,  # text in a number, or not in the character set
        1367,
        1406,  # too long
        1411,
        1441,  # date out of range
        1690,  # a sum out of range
        3140,  # not JSON, on MySQL
    },
    Conflict: {1020, 1205, 1213, 1614, 3572},
    MissingTable: {1049, 1051, 1054, 1109, 1146},
    Unavailable: {
        *(1021, 1028, 1037, 1038, 1041, 1114, 1135),  # out of disk, memory, table space or threads
        *(1040, 1129, 1130, 1203, 1226),  # too many connections, host blocked
        *(1044, 1045, 1698),  # access denied
        *(1053, 1077, 1078, 1079, 1317, 1927, 1969, 3024, 4031),  # shutting down, killed or timed out by the server
        *(1152, 1156, 1157, 1158, 1159, 1160, 1161),  # broken packets
        *(1290, 1836),  # read-only
        1615,  # a prepared statement to be prepared again
    },
}
_KINDS = {number: kind for kind, numbers in _MEANINGS.items() for number in numbers}

_ADVICE = {
    1040: "the server has no free connection: lower pool_size in the SQL URL or raise max_connections",
    1203: "the user has no free connection: lower pool_size in the SQL URL or raise max_user_connections",
    1044: "the user of the SQL URL may not do this: GRANT it",
    1045: "the user or the password of the SQL URL is refused",
    1698: "the user or the password of the SQL URL is refused",
    2002: "nothing answers there: is the server running, and is the socket in the SQL URL right?",
    2003: "nothing answers there: is the server running, and are host and port in the SQL URL right?",
    2005: "the host of the SQL URL is unknown",
}

_KEY = re.compile(r"for key '([^']*)'\s*$")
_CHECKS = {
    3819: re.compile(r"[Cc]heck constraint '(?P<check>.*)' is violated"),  # MySQL
    4025: re.compile(r"CONSTRAINT `(?P<check>.*)` failed for `[^`]*`\.`(?P<table>.*)`"),  # MariaDB
}


def dialect_of(url: MysqlUrl) -> Dialect:
    return MYSQL.prefixed(url.prefix) if url.prefix else MYSQL


def translate(url: MysqlUrl, error: Exception, table: str) -> SqlError:
    """The typed error for a driver's error, whose arguments are `(number, reason)`.

    Numbers of the client library (2000 to 2999), 0 and none at all are lost connections.
    """
    number, reason = number_of(error), str(error.args[-1] if error.args else error)
    if number in _UNIQUE:
        return UniqueViolation(table, _key(reason))
    if number in _CHECKS:
        return _check(reason, _CHECKS[number], table)
    kind = _KINDS.get(number, Unavailable if number == 0 or 2000 <= number < 3000 else SqlError)
    if kind is Unavailable:
        advice = _ADVICE.get(number)
        lost = NotSent if number == _GONE else Unavailable
        return lost(f"{url.place}: {advice or f'{_one_line(reason)} ({number})'}")
    return kind(f"{table}: {_one_line(reason)} ({number})")


def number_of(error: BaseException) -> int:
    number = error.args[0] if error.args else 0
    return number if isinstance(number, int) else 0


def _key(reason: str) -> str:
    """MariaDB names the key `user_by_name`, MySQL 8 `user.user_by_name`."""
    found = _KEY.search(reason)
    return found[1].rpartition(".")[2] if found else "unknown"


def _check(reason: str, words: re.Pattern[str], table: str) -> SqlError:
    found = words.search(reason)
    name = found["check"] if found is not None else "unknown"
    # MariaDB's JSON columns have a CHECK each, which it names as `table.column`.
    if found is not None and name.startswith(f"{found.groupdict().get('table')}."):
        return InvalidValue(f"{table}: {_one_line(reason)}")
    return CheckViolation(table, name)


def _one_line(reason: str) -> str:
    return " ".join(reason.split())


def timed_out(url: MysqlUrl) -> Unavailable:
    return Unavailable(f"{url.place}: no connection within {url.connect_timeout_ms} ms: {_ADVICE[2003]}")


def start_transaction(how: How) -> tuple[str, ...]:
    """The statements that begin a transaction. SET TRANSACTION counts for the next one only."""
    start = "START TRANSACTION READ ONLY" if how.read_only else "START TRANSACTION"
    return (start,) if how.isolation is None else (f"SET TRANSACTION ISOLATION LEVEL {how.isolation.upper()}", start)


def create_database(dialect: Dialect, database: str) -> str:
    name = dialect.prefix + database
    return f"CREATE DATABASE IF NOT EXISTS `{name}` CHARACTER SET utf8mb4"


def use_database(dialect: Dialect, database: str) -> str:
    return f"USE `{dialect.prefix}{database}`"
