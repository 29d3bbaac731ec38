"""Why a WebSocket was closed, and whether the client should come back: the one table of close codes.

4000 to 4499 mean: connect again, with back-off. 4500 to 4999 mean: don't, the next attempt would end the same way
until something else changes. So a client that doesn't know a code still knows what to do. Codes below 4000 are RFC
6455's own: 1009 is sent for a frame over the size limit (don't send it again), 1006 is a lost connection (connect
again).

| code | name              | reconnect | when |
|------|-------------------|-----------|------|
| 4000 | GOING_AWAY        | yes       | the server drains; another one, or this one restarted, takes over |
| 4001 | UNAVAILABLE       | yes       | the token could not be checked now |
| 4002 | SLOW_READER       | yes       | the client read slower than the server wrote; it resumes from what it has |
| 4003 | HELLO_TIMEOUT     | yes       | no Hello came in time |
| 4004 | PING_TIMEOUT      | yes       | no frame and no pong came in time |
| 4005 | IDLE              | yes       | no call was made for the idle limit; connect when there is one |
| 4006 | PUSHES_LOST       | yes       | pushes that this connection has not had are gone: the next Welcome says so |
| 4007 | NO_PUSH_ACK       | yes       | pushes were sent and none was acknowledged for too long |
| 4500 | SUBPROTOCOL       | no        | the client offered none of the server's subprotocols |
| 4501 | BAD_FRAME         | no        | a message is no frame of the subprotocol, or breaks its rules |
| 4502 | HELLO_EXPECTED    | no        | the first frame is no Hello |
| 4503 | UNAUTHENTICATED   | no        | the token of the Hello is unknown, expired or revoked |
| 4504 | SESSION_ENDED     | no        | the session of this connection was revoked or has expired |
"""

from __future__ import annotations

import enum


class CloseCode(enum.IntEnum):
    """A close code of the gateway; the module's table says what each means."""

    GOING_AWAY = 4000
    UNAVAILABLE = 4001
    SLOW_READER = 4002
    HELLO_TIMEOUT = 4003
    PING_TIMEOUT = 4004
    IDLE = 4005
    PUSHES_LOST = 4006
    NO_PUSH_ACK = 4007
    SUBPROTOCOL = 4500
    BAD_FRAME = 4501
    HELLO_EXPECTED = 4502
    UNAUTHENTICATED = 4503
    SESSION_ENDED = 4504


def reconnect(code: int | None) -> bool:
    """Whether a client should connect again after this close code; None stands for a lost connection."""
    if code is None or code < 4000:
        return code != 1009
    return code < 4500
