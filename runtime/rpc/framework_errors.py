"""The errors that every method may raise, because the framework itself does."""

from __future__ import annotations

from runtime.generated.rpc.sun.errors import BadRequest, Overloaded, RateLimited
from runtime.rpc.errors import DeclaredError

FRAMEWORK_ERRORS: tuple[type[DeclaredError], ...] = (BadRequest, Overloaded, RateLimited)
