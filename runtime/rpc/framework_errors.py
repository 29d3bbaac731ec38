"""The declared errors that any method may raise without saying so, since the framework itself raises them."""

from __future__ import annotations

from runtime.generated.rpc.sun.errors import BadRequest

FRAMEWORK_ERRORS = (BadRequest,)
