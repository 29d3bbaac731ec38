"""Pushes between connection and loop: the model of a server that keeps the last ones, and any schedule of losses."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.rpc.transports.pushes import Inbox, Position, RawPush, Reload

EPOCH = 5


def push(counter: int) -> RawPush:
    return RawPush(counter, "t", bytes(10))


def inbox(capacity: int = 10, max_bytes: int = 1_000, resume: Position | None = None) -> Inbox:
    made = Inbox(capacity, max_bytes, resume)
    made.subscribe()
    return made


def taken(box: Inbox) -> list[int | str]:
    found: list[int | str] = []
    while (item := box.next()) is not None:
        found.append("reload" if isinstance(item, Reload) else item.counter)
        box.done()
    return found


def test_pushes_come_in_order_and_count_when_the_next_is_asked_for() -> None:
    box = inbox()
    box.welcome(Position(EPOCH, 3), reload=False)
    assert [box.add(push(counter)) for counter in (4, 5)] == [True, True]
    assert box.next() == push(4)
    assert box.dealt == Position(EPOCH, 3)
    assert box.next() == push(4), "what is not done comes again"
    box.done()
    assert box.dealt == Position(EPOCH, 4)
    assert taken(box) == [5]
    assert box.dealt == Position(EPOCH, 5)


def test_what_came_before_is_passed_over_on_the_next_connection() -> None:
    box = inbox()
    box.welcome(Position(EPOCH, 0), reload=False)
    box.add(push(1))
    box.add(push(2))
    assert box.next() == push(1)
    box.welcome(Position(EPOCH, 0), reload=False)
    assert [box.add(push(counter)) for counter in (1, 2, 3)] == [False, False, True]
    assert taken(box) == [1, 2, 3]


def test_a_reload_replaces_what_was_not_taken() -> None:
    box = inbox(resume=Position(EPOCH, 1))
    box.welcome(Position(EPOCH, 1), reload=False)
    box.add(push(2))
    box.welcome(Position(EPOCH + 1, 40), reload=True)
    box.add(push(41))
    assert box.next() == Reload(Position(EPOCH + 1, 40))
    assert box.dealt == Position(EPOCH, 1)
    assert taken(box) == ["reload", 41]
    assert box.dealt == Position(EPOCH + 1, 41)


def test_another_epoch_is_a_reload_whatever_the_server_says() -> None:
    box = inbox(resume=Position(EPOCH, 7))
    box.welcome(Position(EPOCH + 1, 7), reload=False)
    assert taken(box) == ["reload"]


def test_the_first_connection_has_nothing_to_reload() -> None:
    box = inbox()
    box.welcome(Position(EPOCH, 12), reload=False)
    assert taken(box) == []
    assert box.dealt == Position(EPOCH, 12)


def test_what_does_not_fit_is_asked_for_again_when_there_is_room() -> None:
    for box in (inbox(capacity=2), inbox(max_bytes=25)):
        box.welcome(Position(EPOCH, 0), reload=False)
        assert [box.add(push(counter)) for counter in (1, 2, 3, 4)] == [True, True, False, False]
        assert not box.is_behind
        assert taken(box) == [1, 2]
        assert box.is_behind
        box.welcome(Position(EPOCH, 2), reload=False)
        assert not box.is_behind
        assert [box.add(push(counter)) for counter in (3, 4)] == [True, True]
        assert taken(box) == [3, 4]


def test_one_push_larger_than_the_inbox_still_comes() -> None:
    box = inbox(max_bytes=5)
    box.welcome(Position(EPOCH, 0), reload=False)
    assert box.add(push(1))
    assert taken(box) == [1]


def test_pushes_without_a_counter_come_when_there_is_room() -> None:
    box = inbox(capacity=1)
    box.welcome(Position(EPOCH, 0), reload=False)
    assert [box.add(push(0)), box.add(push(0))] == [True, False]
    assert taken(box) == [0]
    assert box.dealt == Position(EPOCH, 0)
    assert not box.is_behind


def test_without_a_loop_pushes_count_as_dealt_with() -> None:
    box = Inbox(10, 1_000, None)
    box.welcome(Position(EPOCH, 0), reload=False)
    assert not box.add(push(1))
    assert box.dealt == Position(EPOCH, 1)
    box.welcome(Position(EPOCH, 9), reload=True)
    assert box.dealt == Position(EPOCH, 9)
    box.subscribe()
    box.add(push(10))
    assert taken(box) == [10]


@dataclass
class Server:
    """Keeps the last `kept` pushes. `sent` is how far the connection has come; None without one."""

    kept: int
    epoch: int = 1
    newest: int = 0
    sent: int | None = None
    lost: set[int] = field(default_factory=set[int])

    def connect(self, box: Inbox) -> None:
        """As wire.proto has Hello and Welcome."""
        resume = box.dealt
        whole = resume is None or (resume.epoch == self.epoch and resume.counter >= self.newest - self.kept)
        self.sent = self.newest if resume is None or not whole else resume.counter
        box.welcome(Position(self.epoch, self.sent), reload=not whole)

    def deliver(self, box: Inbox) -> None:
        if self.sent is not None and self.sent < self.newest:
            self.sent += 1
            box.add(push(self.sent))


STEP = st.sampled_from(["push", "push", "deliver", "deliver", "take", "take", "cut", "connect", "leave", "epoch"])


@settings(max_examples=500)
@given(st.lists(STEP, max_size=60), st.integers(1, 4), st.integers(1, 6))
def test_any_schedule_gives_every_push_once_or_a_reload(steps: list[str], capacity: int, kept: int) -> None:
    server, box = Server(kept), inbox(capacity)
    server.connect(box)
    state = server.newest  # what the client knows: a Reload fetches, a push follows on

    def take() -> None:
        nonlocal state
        item = box.next()
        if isinstance(item, Reload):
            state = max(server.newest, item.position.counter)
        elif item is not None:
            # What a fetch already had may still come; what comes is never ahead of what is known.
            assert item.counter <= state + 1
            state = max(state, item.counter)
        box.done()

    for step in steps:
        match step:
            case "push":
                server.newest += 1
            case "deliver":
                server.deliver(box)
            case "take":
                take()
            case "cut":
                server.sent = None
            case "leave":  # the loop ends with a push in hand
                box.next()
            case "epoch":
                server.epoch, server.sent = server.epoch + 1, None
            case _:
                server.connect(box)
    if server.sent is None:
        server.connect(box)
    for _ in range(1_000):
        server.deliver(box)
        take()
        if box.is_behind:
            server.connect(box)
    assert state == server.newest
    assert box.dealt == Position(server.epoch, server.newest)
