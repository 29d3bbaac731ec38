"""Pushes between a connection and the loop that takes them: which are new, which are missing, how far it has come.

Pure: nothing is sent or awaited here. The rules are those of sun/wire.proto.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, NamedTuple, TypeVar

from google.protobuf.message import Message

M_co = TypeVar("M_co", bound=Message, covariant=True)


class Position(NamedTuple):
    """The last push that was dealt with. A program that starts again begins here: `resume=` of the transport."""

    epoch: int
    counter: int


class Push(NamedTuple, Generic[M_co]):
    """Something happened. `counter` is 0 for what is not repeated after a loss."""

    message: M_co
    counter: int


class Reload(NamedTuple):
    """Pushes were lost: fetch anew what you follow. The pushes after `position` come next."""

    position: Position


class RawPush(NamedTuple):
    """A push with its message still encoded."""

    counter: int
    type: str
    payload: bytes


class Inbox:
    """What has come and was not yet taken, at most `capacity` pushes and `max_bytes` of them.

    Whatever does not fit is not kept: the server has it until it is acknowledged, and sends it again on the next
    connection, for which `is_behind` asks once there is room. Until `subscribe` nothing is kept, and every push counts
    as dealt with.
    """

    def __init__(self, capacity: int, max_bytes: int, resume: Position | None) -> None:
        self.dealt = resume
        self._capacity = capacity
        self._max_bytes = max_bytes
        self._subscribed = resume is not None
        self._epoch: int | None = resume.epoch if resume is not None else None
        self._received = resume.counter if resume is not None else 0
        self._newest = self._received
        self._items: deque[RawPush | Reload] = deque()
        self._bytes = 0
        self._in_hand: RawPush | Reload | None = None

    @property
    def is_behind(self) -> bool:
        """Everything that was kept is dealt with, and there is more that was not."""
        return self._newest > self._received and not self._items and self._in_hand is None

    def subscribe(self) -> None:
        """From now on pushes are kept."""
        self._subscribed = True

    def welcome(self, position: Position, *, reload: bool) -> None:
        """A new connection was welcomed: its pushes follow `position`."""
        if self._epoch is None:
            self.dealt = position
        elif reload or position.epoch != self._epoch or position.counter > self._received:
            # What is kept will be fetched with everything else.
            self._items.clear()
            self._bytes = 0
            if self._subscribed:
                self._items.append(Reload(position))
            else:
                self.dealt = position
        else:
            self._newest = self._received
            return
        self._epoch = position.epoch
        self._received = self._newest = position.counter

    def add(self, push: RawPush) -> bool:
        """Takes a push in. Numbered ones come in order; those that were seen on another connection are passed over.

        False when the push was not kept, because it is not new or there is no room.
        """
        if push.counter == 0:
            return self._subscribed and self._keep(push)
        self._newest = max(self._newest, push.counter)
        if push.counter != self._received + 1:
            return False
        if not self._subscribed:
            self._received = push.counter
            self._deal(push.counter)
            return False
        if self._keep(push):
            self._received = push.counter
            return True
        return False

    def next(self) -> RawPush | Reload | None:
        """The oldest that was not dealt with; the same again until `done`."""
        if self._in_hand is None and self._items:
            self._in_hand = self._items.popleft()
            self._bytes -= _size(self._in_hand)
        return self._in_hand

    def done(self) -> None:
        """What `next` gave was dealt with."""
        item, self._in_hand = self._in_hand, None
        if isinstance(item, Reload):
            self.dealt = item.position
        elif item is not None and item.counter:
            self._deal(item.counter)

    def _keep(self, push: RawPush) -> bool:
        size = self._bytes + len(push.payload)
        # One that is too large by itself would never fit, so an empty inbox takes it.
        if self._items and (len(self._items) >= self._capacity or size > self._max_bytes):
            return False
        self._items.append(push)
        self._bytes = size
        return True

    def _deal(self, counter: int) -> None:
        """Nothing is dealt with in an epoch before its Reload is."""
        if self.dealt is not None and self.dealt.epoch == self._epoch:
            self.dealt = Position(self.dealt.epoch, counter)


def _size(item: RawPush | Reload) -> int:
    return len(item.payload) if isinstance(item, RawPush) else 0
