"""From the rules that a request breaks to the declared error that says so, before a handler sees the request."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.generated.proto.sun import errors_pb2
from runtime.generated.rpc.sun.errors import BadRequest
from runtime.rpc.service import Violation


def bad_request(violations: Sequence[Violation]) -> BadRequest:
    """The error for these violations, of which there is at least one.

    Its text names the first, its detail all of them.
    """
    error = BadRequest(violations=[errors_pb2.Violation(**violation._asdict()) for violation in violations])
    more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
    error.message = f"{violations[0].field}: {violations[0].message}{more}"
    return error
