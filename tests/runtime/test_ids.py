"""Ids rise and never repeat, whatever the clock does."""

from __future__ import annotations

import threading

import pytest

from runtime.ids import EPOCH_MS, NODES, IdGenerator, LeaseExpired, node_of, timestamp_ms
from runtime.rpc.errors import Code, RpcError

START = EPOCH_MS + 1_000_000
FOREVER = EPOCH_MS + (1 << 42)


class Clock:
    """A clock that tests set by hand (ms since 1970)."""

    def __init__(self, now: int = START) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def ids_on(clock: Clock, node: int = 5, *, start_ms: int = 0, expires_ms: int = FOREVER) -> IdGenerator:
    return IdGenerator(node, start_ms=start_ms, expires_ms=expires_ms, clock=clock)


def test_an_id_holds_its_time_its_node_and_a_sequence() -> None:
    clock = Clock()
    ids = ids_on(clock, node=1023)
    first, second = ids.next(), ids.next()
    assert (timestamp_ms(first), node_of(first), first & 0xFFF) == (START, 1023, 0)
    assert second == first + 1
    assert first == (START - EPOCH_MS) << 22 | 1023 << 12


def test_ids_are_positive_signed_64_bit_numbers_until_2093() -> None:
    clock = Clock(EPOCH_MS + (1 << 41) - 1)
    assert 0 < ids_on(clock, node=1023).next() < 1 << 63
    clock.now += 1
    with pytest.raises(LeaseExpired):
        ids_on(clock).next()


def test_a_full_sequence_moves_on_before_the_clock_does() -> None:
    ids = ids_on(Clock())
    made = [ids.next() for _ in range(10_000)]
    assert made == sorted(set(made))
    assert timestamp_ms(made[4095]) == START
    assert timestamp_ms(made[4096]) == START + 1
    assert ids.last_ms == START + 2


@pytest.mark.parametrize("step", [-3_600_000, -10_000, -1, 0, 1, 10_000])
def test_clock_steps_neither_repeat_nor_reorder(step: int) -> None:
    clock = Clock()
    ids = ids_on(clock)
    made: list[int] = []
    for _ in range(20):
        made += [ids.next() for _ in range(500)]
        clock.now += step
    made += [ids.next() for _ in range(500)]
    assert made == sorted(set(made))


def test_no_id_is_before_the_start_of_its_lease() -> None:
    clock = Clock()
    ids = ids_on(clock, start_ms=START + 5_000)
    assert timestamp_ms(ids.next()) == START + 5_000
    clock.now = START + 6_000
    assert timestamp_ms(ids.next()) == START + 6_000


def test_no_id_reaches_the_end_of_its_lease() -> None:
    clock = Clock()
    ids = ids_on(clock, expires_ms=START + 2)
    made = [ids.next() for _ in range(2 * 4096)]
    assert timestamp_ms(made[-1]) == START + 1
    with pytest.raises(LeaseExpired) as caught:
        ids.next()
    assert isinstance(caught.value, RpcError)
    assert caught.value.code is Code.UNAVAILABLE
    ids.extend(START + 3)
    assert timestamp_ms(ids.next()) == START + 2 > timestamp_ms(made[-1])


def test_an_ended_generator_tells_where_the_next_may_begin() -> None:
    clock = Clock()
    ids = ids_on(clock)
    last = ids.next()
    successor = ids_on(Clock(START - 60_000), start_ms=ids.end())
    with pytest.raises(LeaseExpired):
        ids.next()
    assert successor.next() > last


def test_another_node_number_keeps_the_order() -> None:
    clock = Clock()
    ids = ids_on(clock, node=900)
    before = ids.next()
    ids.lease(3, start_ms=START - 50, expires_ms=FOREVER)
    after = ids.next()
    assert node_of(after) == 3
    assert after > before


@pytest.mark.parametrize("node", [-1, NODES])
def test_a_node_number_out_of_range_is_refused(node: int) -> None:
    with pytest.raises(ValueError, match=f"node {node}"):
        ids_on(Clock(), node=node)


def test_threads_share_a_generator() -> None:
    ids = ids_on(Clock())
    made: list[list[int]] = [[] for _ in range(4)]

    def make(mine: list[int]) -> None:
        mine.extend(ids.next() for _ in range(5_000))

    threads = [threading.Thread(target=make, args=(mine,)) for mine in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(mine == sorted(mine) for mine in made)
    assert len({each for mine in made for each in mine}) == 20_000
