"""The driver's exceptions as those of `runtime.cql.errors`, each with the table and the cause."""

from __future__ import annotations

import re
from typing import Any

from runtime.cql.cassandra import driver
from runtime.cql.cassandra.protocol import RefusedRequest
from runtime.cql.errors import CqlError, Denied, InvalidState, InvalidValue, MissingTable, Timeout, Unavailable

# The server tells the kinds of INVALID apart by their texts only (ErrorCode 0x2200).
_MISSING = re.compile(
    r"(keyspace|table|type) \S+ (does not exist|doesn't exist|not found)|unconfigured table"
    r"|undefined (column )?name|unknown (identifier|type|keyspace|field)",
    re.IGNORECASE,
)
_VALUE = re.compile(
    r"too (big|large|long)|maximum allowed|longer than maximum|exceeds|expected .* bytes?\b|(can't|may not) be empty"
    r"|out of (range|bound)|invalid (null|unset) value|must be greater|not a valid"
    r"|element on a list which is null|comparison with an empty",
    re.IGNORECASE,
)


def reach(place: str, error: BaseException) -> CqlError:
    """Why a cluster could not be connected to."""
    if isinstance(error, driver.UnresolvableContactPoints):
        return Unavailable(f"{place}: no such host")
    first: BaseException = next(iter(_each(error).values()), error)
    if isinstance(first, driver.AuthenticationFailed | driver.BadCredentials):
        return Denied(f"{place}: {_told(first)}")
    return Unavailable(f"{place}: can't be reached: {_told(first)}")


def failure(error: BaseException, what: str, *, writes: bool, state: bool = False, sent: bool = True) -> CqlError:
    """What a request raises.

    `what` names the table. `writes` where it is not known to have had no effect, `state` where it went on from a page
    state, `sent` where some node was asked at all.
    """
    told = f"{what}: {_told(error)}"
    match error:
        case CqlError():
            return error
        case driver.NoHostAvailable():
            return _no_host(error, what, writes=writes, state=state, sent=sent)
        case driver.Unavailable():
            return Unavailable(f"{what}: too few replicas are up: {_told(error)}")
        case driver.ReadTimeout() | driver.WriteTimeout() | driver.OperationTimedOut() | driver.WriteFailure():
            return Timeout(told)
        case driver.Overloaded() | driver.IsBootstrapping():
            return Unavailable(told)
        case driver.ConnectionException():
            lost = f"{what}: the connection broke before the answer came: {_told(error)}"
            return Timeout(lost) if writes else Unavailable(lost)
        case driver.Unauthorized():
            return Denied(told)
        case driver.InvalidRequest():
            return _invalid(told)
        case RefusedRequest() if state:
            return InvalidState(f"{what}: not a page state of this query: {_told(error)}")
        case _:
            return CqlError(told)


def _no_host(error: BaseException, what: str, *, writes: bool, state: bool, sent: bool) -> CqlError:
    """No node is left to ask. What one of them answered says most; else where they were found to be gone."""
    answers = [each for each in _each(error).values() if isinstance(each, driver.DriverException | driver.ErrorMessage)]
    if answers:
        return failure(answers[0], what, writes=writes, state=state)
    told = "; ".join(f"{host.endpoint}: {_told(each)}" for host, each in _each(error).items())
    if writes and sent:
        return Timeout(f"{what}: the connection broke before the answer came, and no other node is up")
    return Unavailable(f"{what}: no node is up{told and f': {told}'}")


def _each(error: BaseException) -> dict[Any, BaseException]:
    return dict(getattr(error, "errors", None) or {}) if isinstance(error, driver.NoHostAvailable) else {}


def _invalid(told: str) -> CqlError:
    if _MISSING.search(told):
        return MissingTable(told)
    return InvalidValue(told) if _VALUE.search(told) else CqlError(told)


def _told(error: BaseException) -> str:
    """The server's own words, without those that the driver puts around them."""
    text = str(getattr(error, "message", None) or error) or type(error).__name__
    found = re.search(r'message="(.*)"', text, re.DOTALL)
    return found.group(1) if found else text
