"""The declared error of a request that breaks the rules of its schema; raised before a handler sees the request."""

from __future__ import annotations

from collections.abc import Iterable

from runtime.generated.proto.sun import errors_pb2
from runtime.rpc.errors import Code, DeclaredError
from runtime.rpc.service import Violation


class BadRequest(DeclaredError):
    """The request is not valid. `detail.violations` lists every rule it breaks. Every method may raise it."""

    declared_code = Code.INVALID_ARGUMENT
    declared_message = "the request is not valid"
    type_name = "sun.BadRequest"
    detail_type = errors_pb2.BadRequest

    detail: errors_pb2.BadRequest

    def __init__(self, violations: Iterable[Violation]) -> None:
        found = [errors_pb2.Violation(field=v.field, rule=v.rule, message=v.message) for v in violations]
        first = f"{found[0].field}: {found[0].message}" if found else self.declared_message
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        super().__init__(errors_pb2.BadRequest(violations=found), first + more)
