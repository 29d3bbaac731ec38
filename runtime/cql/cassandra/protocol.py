"""What the driver sends and receives, as far as it is not left as it is: rows stay bytes until their reader asks.

The driver's own decoding of a value closes the connection where it fails, as for a timestamp of the year 12000, and so
does an error of the kind that a wrong page state brings. Either would fail every other request under way.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from runtime.cql.cassandra.driver import ProtocolException, ProtocolHandler, ResultMessage


class Rows(NamedTuple):
    """One page as it came: the names of its columns, the number of rows and their values, each behind its length, and
    the state that goes on.
    """

    names: tuple[str, ...]
    content: bytes
    state: bytes | None


class RefusedRequest(Exception):
    """The cluster could not make sense of a request, as of a page state that it never gave."""


class _Result(ResultMessage):
    """A RESULT message (https://github.com/apache/cassandra/blob/trunk/doc/native_protocol_v4.spec, 4.2.5)."""

    def recv_results_rows(self, f: Any, protocol_version: int, user_type_map: Any, *others: Any) -> None:
        self.recv_results_metadata(f, user_type_map)
        names = tuple(column[2] for column in self.column_metadata or ())
        self.column_names = names
        self.parsed_rows = Rows(names, f.read(), self.paging_state)


class Handler(ProtocolHandler):
    """For `Session.client_protocol_handler`, the driver's door for decoding of one's own."""

    message_types_by_opcode = ProtocolHandler.message_types_by_opcode | {ResultMessage.opcode: _Result}

    @classmethod
    def decode_message(cls, *arguments: Any) -> Any:
        parent: Any = super()
        message = parent.decode_message(*arguments)
        if isinstance(message, ProtocolException):
            return RefusedRequest(message.message)  # of a class that does not make the driver close the connection
        return message
