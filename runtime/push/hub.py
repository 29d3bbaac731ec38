"""Who is connected to this process, and what of the users' pushes each connection has had.

What the sockets do with a push is in `runtime.rpc.websocket`; what is kept, in `journal`.
"""

from __future__ import annotations

import asyncio
import sys
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import structlog
from google.protobuf.message import Message

from runtime.generated.sql.sun_runtime import PushEntry
from runtime.ids import Clock, wall_clock_ms
from runtime.push.journal import NONE_YET, PushJournal, State
from runtime.rpc.push_frames import PushMessage
from runtime.rpc.wire import Resume
from runtime.sql.database import Database, Transaction
from runtime.sql.errors import SqlError
from runtime.together import Together

MAX_RESUME = 1_000
"""Pushes that a client may be behind and still get them all; one that is further behind is told to fetch anew."""

RECENT_PUSHES = 32
RECENT_BYTES = 32 << 20
RECENT_USERS = 50_000
"""What is kept in memory for those who come back: pushes of a user, their bytes in all, and users."""

OVERLAP_MS = 2_000
WIDE_OVERLAP_MS = 15_000
"""How far before the newest change a look for changes of other processes begins: clocks differ, and transactions take
time from the number to the commit. Most looks are narrow; every WIDE_EVERY-th is wide."""
WIDE_EVERY = 20

_PAGE = 200
_GATHER_S = 0.002
"""Connections that come within this time share a query."""

_log = structlog.get_logger()


class Sink(Protocol):
    """A connection, as the hub sees it."""

    def push(self, message: PushMessage, counter: int) -> None:
        """Send this now."""
        ...

    async def room(self, message: PushMessage, counter: int) -> None:
        """Wait until so much has been sent that this may be."""
        ...

    def lost(self) -> None:
        """Pushes are gone that this connection has not had: it must come back, and will be told to fetch anew."""
        ...


class Welcomed(NamedTuple):
    """Where the pushes of a connection begin. With `reload` there were others that it will not get."""

    epoch: int
    counter: int
    reload: bool


class _Recent:
    """What is known of a user's pushes: where they are, and the last ones without a gap."""

    __slots__ = ("counter", "epoch", "last")

    def __init__(self, state: State) -> None:
        self.epoch = state.epoch
        self.counter = state.counter
        self.last: list[tuple[int, PushMessage]] = []  # short; an empty deque takes 700 bytes

    def after(self, counter: int) -> list[tuple[int, PushMessage]] | None:
        """The pushes after this one; None where memory does not have them all."""
        if counter == self.counter:
            return []
        if not self.last or self.last[0][0] > counter + 1 or self.last[-1][0] != self.counter:
            return None
        return [each for each in self.last if each[0] > counter]


class Feed:
    """The pushes of one connection, in order and without a gap. `sent` is the last one given to it."""

    __slots__ = (
        "_catching_up",
        "_closed",
        "_hub",
        "_open",
        "_sink",
        "acknowledged",
        "sent",
        "user_id",
        "waiting_since",
    )

    def __init__(self, hub: PushHub, sink: Sink, user_id: int, sent: int) -> None:
        self.user_id = user_id
        self.sent = sent
        self.acknowledged = sent
        self.waiting_since: float | None = None  # loop's clock; when the oldest unacknowledged push was sent, or later
        self._hub = hub
        self._sink = sink
        self._open = False
        self._closed = False
        self._catching_up: asyncio.Task[None] | None = None

    def open(self) -> None:
        """The client knows where its pushes begin: they may come."""
        self._open = True
        self.wake()

    def close(self) -> None:
        self._closed = True
        self._hub.detach(self)
        if self._catching_up is not None:
            self._catching_up.cancel()

    def acknowledge(self, counter: int, now: float) -> bool:
        """The client has dealt with this push and all before; False for one that it never got. `now` as the loop's."""
        if counter > self.sent:
            return False
        if counter > self.acknowledged:
            self.acknowledged = counter
            self.waiting_since = None if counter == self.sent else now
        return True

    def offer(self, counter: int, message: PushMessage, now: float) -> None:
        """The newest push."""
        if self._open and self._catching_up is None and counter == self.sent + 1:
            self._give(counter, message, now)
        else:
            self.wake()

    def tell(self, message: PushMessage) -> None:
        """A push without a number."""
        if self._open:
            self._sink.push(message, 0)

    def wake(self) -> None:
        """There are pushes that this connection has not had."""
        if self._open and not self._closed and self._catching_up is None and self._hub.latest(self.user_id) > self.sent:
            self._catching_up = asyncio.get_running_loop().create_task(self._catch_up(), name="push catch-up")

    def lost(self) -> None:
        if not self._closed:
            self._sink.lost()

    def _give(self, counter: int, message: PushMessage, now: float) -> None:
        self.sent = counter
        if self.waiting_since is None:
            self.waiting_since = now
        self._sink.push(message, counter)

    async def _catch_up(self) -> None:
        clock = asyncio.get_running_loop().time
        try:
            while not self._closed and self._hub.latest(self.user_id) > self.sent:
                for counter, message in await self._hub.after(self.user_id, self.sent):
                    await self._sink.room(message, counter)
                    if self._closed:
                        return
                    if counter != self.sent + 1:
                        self.lost()
                        return
                    self._give(counter, message, clock())
        except Gone:
            self.lost()
        except SqlError as error:
            _log.warning("pushes can't be read", error=str(error))
            self.lost()
        finally:
            self._catching_up = None


class Gone(Exception):
    """Pushes that a connection has not had are not kept any more."""


class PushHub:
    """Gives pushes to the connections of this process. Belongs to one event loop.

    `poll_ms` is how often it looks for pushes that other processes appended; 0 for never, where there are none.
    """

    def __init__(self, db: Database, *, poll_ms: int = 0, clock: Clock = wall_clock_ms) -> None:
        self.journal = PushJournal(db, clock)
        self._db = db
        self._poll_ms = poll_ms
        self._clock = clock
        self._feeds: dict[int, set[Feed]] = {}
        self._recent: OrderedDict[int, _Recent] = OrderedDict()
        self._bytes = 0
        self._looked = clock()
        self._looks = 0
        self._blind = False  # the last look failed
        self._states = Together(self._ask, _GATHER_S)
        self._missed = Together(self._read)
        self._heard: list[dict[int, State]] = []  # what is appended for users while the database is asked about them

    # What handlers do.

    async def send(self, users: Collection[int], message: Message) -> None:
        """Push a message to users, wherever they are connected, now or later. It is kept when this returns.

        Raises SqlError.
        """

        async def work(tx: Transaction) -> None:
            await self.append(tx, users, message)

        if users:
            await self._db.transact(work)

    async def append(self, tx: Transaction, users: Collection[int], message: Message) -> None:
        """`send` as a part of this transaction: it is pushed once that is committed, and not if it is undone.

        The users' counters stay locked until then, so let it come late in the transaction. Raises SqlError.
        """
        if not users:
            return
        shared = PushMessage.of(message)
        states = await self.journal.append(tx, users, shared.type, shared.payload)
        tx.after_commit(lambda: self._appended(states, shared))

    def tell(self, users: Iterable[int], message: Message) -> None:
        """Push a message to those connections of these users that are open in this process; it is not repeated."""
        shared = PushMessage.of(message)
        nobody: set[Feed] = set()
        for feed in [feed for user_id in users for feed in self._feeds.get(user_id, nobody)]:
            feed.tell(shared)

    def connected(self, user_id: int) -> bool:
        """Whether the user has a connection to this process."""
        return user_id in self._feeds

    # What connections do.

    async def attach(self, sink: Sink, user_id: int, resume: Resume | None) -> tuple[Feed, Welcomed]:
        """A feed for a connection that tells where it left off. Nothing comes before it is opened. Raises SqlError."""
        recent = await self._known(user_id)
        sent, reload = recent.counter, False
        if resume is not None:
            behind = recent.counter - resume.counter
            reload = resume.epoch != recent.epoch or not 0 <= resume.counter <= recent.counter or behind > MAX_RESUME
            if not reload and behind:
                try:
                    await self.after(user_id, resume.counter)
                except Gone:
                    reload = True
            recent = self._recent.get(user_id) or await self._known(user_id)
            reload = reload or resume.epoch != recent.epoch
            sent = recent.counter if reload else resume.counter
        feed = Feed(self, sink, user_id, sent)
        self._feeds.setdefault(user_id, set()).add(feed)
        return feed, Welcomed(recent.epoch, sent, reload)

    def detach(self, feed: Feed) -> None:
        feeds = self._feeds.get(feed.user_id, set())
        feeds.discard(feed)
        if not feeds:
            self._feeds.pop(feed.user_id, None)

    def latest(self, user_id: int) -> int:
        """The counter of the user's last push, as far as this process knows."""
        recent = self._recent.get(user_id)
        return recent.counter if recent is not None else 0

    async def after(self, user_id: int, counter: int) -> list[tuple[int, PushMessage]]:
        """The next pushes after this one, at least one. Raises Gone and SqlError."""
        recent = self._recent.get(user_id)
        found = recent.after(counter) if recent is not None else None
        if found is None:
            rows = await self._missed.get((user_id, counter)) or ()
            found = [(row.counter, PushMessage(row.message_type, row.payload)) for row in rows]
            recent = self._recent.get(user_id)
            if recent is not None and found and recent.counter == found[-1][0] == counter + len(found):
                self._forget(recent)
                self._remember(user_id, recent, found)
        if not found or found[0][0] != counter + 1:
            raise Gone
        return found

    async def _read(self, behind: Sequence[tuple[int, int]]) -> dict[tuple[int, int], list[PushEntry]]:
        """What comes next after the counter of each user: a page for one alone, else the first few in one query."""
        if len(behind) == 1:
            return {behind[0]: await self.journal.read(*behind[0], _PAGE)}
        wanted: dict[tuple[int, int], range] = {}
        for user_id, counter in behind:
            last = min(counter + RECENT_PUSHES, self.latest(user_id) or sys.maxsize)
            wanted[user_id, counter] = range(counter + 1, last + 1)
        rows = await self.journal.read_many((key[0], each) for key, counters in wanted.items() for each in counters)
        return {
            key: [row for each in counters if (row := rows.get((key[0], each))) is not None]
            for key, counters in wanted.items()
        }

    # How it learns of pushes.

    async def watch(self, sleep: Callable[[float], Any] = asyncio.sleep) -> None:
        """Look for pushes of other processes until cancelled."""
        while self._poll_ms:
            await sleep(self._poll_ms / 1000)
            await self.look()

    async def look(self) -> None:
        """Look once for pushes of other processes. What goes wrong is logged; the next look then sees everything."""
        self._looks += 1
        overlap = WIDE_OVERLAP_MS if self._looks % WIDE_EVERY == 0 else OVERLAP_MS
        now = self._clock()
        try:
            if self._blind:
                states = await self.journal.states(tuple(self._recent))
            else:
                states = await self.journal.changed_since(min(self._looked, now) - overlap)
        except SqlError as error:
            if not self._blind:
                _log.warning("pushes of other processes can't be seen", error=str(error))
            self._blind = True
            return
        self._blind, self._looked = False, now
        for user_id, state in states.items():
            if user_id in self._recent:
                self._arrived(user_id, state, None)

    def _appended(self, states: dict[int, State], message: PushMessage) -> None:
        for user_id, state in states.items():
            self._arrived(user_id, state, message)

    def _arrived(self, user_id: int, state: State, message: PushMessage | None) -> None:
        """A user's pushes are there now; `message` is the last one, where it is known."""
        recent = self._recent.get(user_id)
        if recent is None:
            for heard in self._heard:
                if user_id in heard:
                    heard[user_id] = max(heard[user_id], state)
            return
        feeds = tuple(self._feeds.get(user_id, ()))
        if state.epoch != recent.epoch:
            self._forget(recent)
            recent.epoch, recent.counter = state
            for feed in feeds:
                feed.lost()
        elif state.counter == recent.counter + 1 and message is not None:
            recent.counter = state.counter
            self._remember(user_id, recent, [(state.counter, message)])
            now = asyncio.get_running_loop().time()
            for feed in feeds:
                feed.offer(state.counter, message, now)
        elif state.counter > recent.counter:
            recent.counter = state.counter
            for feed in feeds:
                feed.wake()

    # What it keeps.

    async def _known(self, user_id: int) -> _Recent:
        """What is known of a user, who is asked for together with others that come now. Raises SqlError."""
        recent = self._recent.get(user_id)
        if recent is None:
            state = await self._states.get(user_id) or NONE_YET
            recent = self._recent.get(user_id)
            if recent is None:
                recent = self._recent[user_id] = _Recent(state)
                self._bound()
        self._recent.move_to_end(user_id)
        return recent

    async def _ask(self, users: Sequence[int]) -> dict[int, State]:
        heard = dict.fromkeys(users, NONE_YET)
        self._heard.append(heard)
        try:
            states = await self.journal.states(users)
        finally:
            self._heard.remove(heard)
        for user_id in users:
            states[user_id] = max(states[user_id], heard[user_id])  # what was appended meanwhile must not be missed
            if user_id not in self._recent:
                self._recent[user_id] = _Recent(states[user_id])
        self._bound()
        return states

    def _remember(self, user_id: int, recent: _Recent, pushes: list[tuple[int, PushMessage]]) -> None:
        if recent.last and recent.last[-1][0] + 1 != pushes[0][0]:
            self._forget(recent)
        for each in pushes[-RECENT_PUSHES:]:
            recent.last.append(each)
            self._bytes += len(each[1].payload)
        while len(recent.last) > RECENT_PUSHES:
            self._bytes -= len(recent.last.pop(0)[1].payload)
        self._recent.move_to_end(user_id)
        self._bound()

    def _forget(self, recent: _Recent) -> None:
        self._bytes -= sum(len(message.payload) for _, message in recent.last)
        recent.last.clear()

    def _bound(self) -> None:
        """Let go of what was used longest ago: first the pushes, then users without a connection."""
        if self._bytes > RECENT_BYTES:
            for recent in self._recent.values():
                self._forget(recent)
                if self._bytes <= RECENT_BYTES // 2:
                    break
        if len(self._recent) > RECENT_USERS + len(self._feeds):
            idle = [user_id for user_id in self._recent if user_id not in self._feeds]
            for user_id in idle[: len(idle) // 2]:
                self._forget(self._recent.pop(user_id))
