"""What the engines calculate, compare and order in their own ways, made alike: one test for each difference found."""

from __future__ import annotations

import asyncio
import decimal
from collections.abc import Iterator
from typing import Any, Protocol, TypeVar

import pytest

from runtime.sql.create import create
from runtime.sql.database import Database, connect
from runtime.sql.errors import ConstraintViolation, InvalidValue
from runtime.sql.queries import Batch, Query
from runtime.sql.sync import connect_sync
from tests.sql.compiled import Compiled, compiled

T = TypeVar("T")
TOP = 2**63 - 1
SCHEMA = """
CREATE TABLE item (
  id INT NOT NULL PRIMARY KEY, price DECIMAL(5,2) NULL, huge DECIMAL(40,0) NULL, wide BIGINT NULL, single FLOAT NULL,
  mask BIT(12) NULL, level ENUM('low','mid','high') NOT NULL DEFAULT 'low', days SET('mon','tue','fri') NULL,
  word VARCHAR(20) NULL, UNIQUE KEY item_by_price (price), KEY item_by_level (level, id)
);
CREATE TABLE counted (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9) NOT NULL, UNIQUE KEY (name));
"""


class Run(Protocol):
    def __call__(self, query: Query[T]) -> T: ...


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    return compiled(SCHEMA, tmp_path_factory.mktemp("compiled"))


@pytest.fixture
def item(schema: Compiled) -> Any:
    return schema.daos["item"]


@pytest.fixture(params=["asyncio", "synchronous"])
def run(request: pytest.FixtureRequest, sql_url: str, schema: Compiled) -> Iterator[Run]:
    async def prepare() -> Database:
        db = await connect(sql_url)
        await create(db, schema.ddl[db.dialect.name])
        return db

    with asyncio.Runner() as loop:
        db = loop.run(prepare())
        with connect_sync(sql_url) as sync:
            yield (lambda query: loop.run(db.run(query))) if request.param == "asyncio" else sync.run
        loop.run(db.close())


def dec(text: str) -> decimal.Decimal:
    return decimal.Decimal(text)


def fill(run: Run, dao: Any, column: str, values: list[Any]) -> None:
    run(dao.insert_many(dao.table.row(id=place, **{column: value}) for place, value in enumerate(values)))


def test_decimals_compare_and_order_by_number(run: Run, item: Any) -> None:
    fill(run, item, "price", [dec("9"), dec("10"), dec("-1.5"), dec("-20"), dec("0"), None])
    ordered = item.where(item.price.is_not_null()).order_by(item.price.asc()).values(item.price)
    assert run(ordered) == [dec("-20"), dec("-1.5"), dec("0"), dec("9"), dec("10")]
    assert sorted(run(item.where(item.price > dec("8.5")).values(item.price))) == [dec("9"), dec("10")]
    assert run(item.where(item.price == dec("9.00")).count()) == 1
    assert run(item.where(item.price.in_([dec("10.0"), dec("0E+1")])).count()) == 2
    assert run(item.where(item.price < dec("9.005"), item.price > dec("8.995")).count()) == 1
    assert run(item.all().min(item.price)) == dec("-20")
    assert run(item.by_price(dec("-1.500"))).id == 2
    with pytest.raises(ConstraintViolation):
        run(item.insert(item.table.row(id=9, price=dec("9.0"))))


def test_decimals_come_back_with_the_digits_of_their_column(run: Run, item: Any) -> None:
    fill(run, item, "price", [dec("1.5"), dec("-0.00"), dec("1E+2")])
    assert [str(price) for price in run(item.all().order_by(item.id.asc()).values(item.price))] == [
        "1.50",
        "0.00",
        "100.00",
    ]


def test_decimals_are_added_exactly_and_within_their_range(run: Run, item: Any) -> None:
    fill(run, item, "price", [dec("0.10"), dec("999.98"), None])
    assert run(item.update(item.id == 0).increment(price=dec("0.2"))) == 1
    assert run(item.update(item.id == 1).increment(price=dec("0.01"))) == 1
    assert run(item.update(item.id == 2).increment(price=dec("1"))) == 1
    with pytest.raises(InvalidValue):
        run(item.update().everywhere().increment(price=dec("0.01")))
    assert run(item.all().order_by(item.id.asc()).values(item.price)) == [dec("0.30"), dec("999.99"), None]


def test_sums_have_all_their_digits(run: Run, item: Any) -> None:
    top = dec("9" * 39)
    fill(run, item, "huge", [top, top, dec("-1")])
    assert run(item.all().sum(item.huge)) == dec("1" + "9" * 38 + "7")
    run(item.delete().everywhere())
    fill(run, item, "wide", [TOP, TOP, -5])
    assert run(item.all().sum(item.wide)) == 2 * TOP - 5
    run(item.update(item.id == 2).set(wide=-TOP - 1))
    assert run(item.where(item.id == 2).sum(item.wide)) == -TOP - 1
    assert run(item.where(item.id > 0).group_by(item.level).sum(item.wide)) == {"low": -1}
    assert run(item.where(item.id == 7).sum(item.wide)) is None


def test_a_sum_out_of_range_changes_no_row(run: Run, item: Any) -> None:
    fill(run, item, "wide", [1, 5, TOP, 7])
    for amount in (1, 2048):
        with pytest.raises(InvalidValue):
            run(item.update().everywhere().increment(wide=amount))
    with pytest.raises(InvalidValue):
        run(Batch([item.update(item.id == 0).set(wide=9), item.update().everywhere().increment(wide=1)]))
    assert run(item.all().order_by(item.id.asc()).values(item.wide)) == [1, 5, TOP, 7]
    run(item.update(item.id == 2).set(wide=-TOP - 1))
    for amount in (-1, -1024):
        with pytest.raises(InvalidValue):
            run(item.update().everywhere().increment(wide=amount))
    assert run(item.all().order_by(item.id.asc()).values(item.wide)) == [1, 5, -TOP - 1, 7]


def test_a_float_of_32_bits_is_the_same_everywhere(run: Run, item: Any) -> None:
    tenth = 0.10000000149011612
    fill(run, item, "single", [0.1, 16_777_216.0, 1_000_001.0])
    assert run(item.all().order_by(item.single.asc()).values(item.single)) == [tenth, 1_000_001.0, 16_777_216.0]
    assert run(item.get(0)).single == tenth
    assert run(item.all().max(item.single)) == 16_777_216.0
    assert run(item.where(item.id == 0).group_by(item.single).count()) == {tenth: 1}
    assert run(item.where(item.single == tenth).count()) == 1
    run(item.update().everywhere().increment(single=0.1))
    assert run(item.get(0)).single == 0.20000000298023224
    assert run(item.get(1)).single == 16_777_216.0
    run(item.update(item.id == 1).set(single=3.4e38))
    with pytest.raises(InvalidValue):
        run(item.update(item.id == 1).increment(single=1e38))


def test_words_of_an_enum_order_as_they_compare(run: Run, item: Any) -> None:
    fill(run, item, "level", ["low", "mid", "high", "low"])
    assert run(item.all().order_by(item.level.asc(), item.id.asc()).values(item.id)) == [2, 0, 3, 1]
    assert run(item.where(item.level > "low").values(item.level)) == ["mid"]
    assert (run(item.all().min(item.level)), run(item.all().max(item.level))) == ("high", "mid")
    assert [row.id for row in run(item.by_level("low", before=3))] == [0]


def test_sets_are_equal_whatever_their_order(run: Run, item: Any) -> None:
    days = [frozenset({"tue", "mon"}), frozenset({"fri", "mon"}), frozenset[str](), frozenset({"fri", "tue", "mon"})]
    fill(run, item, "days", days)
    for place, each in enumerate(days):
        for condition in (item.days == each, item.days.in_([each]), ~(item.days != each), ~item.days.not_in([each])):
            assert run(item.where(condition).values(item.id)) == [place]


def test_the_least_and_greatest_bits(run: Run, item: Any) -> None:
    fill(run, item, "mask", [48, 0x301, None, 4095])
    assert (run(item.all().min(item.mask)), run(item.all().max(item.mask))) == (48, 4095)
    assert run(item.all().sum(item.mask)) == 48 + 0x301 + 4095
    assert run(item.all().group_by(item.id).max(item.mask)) == {0: 48, 1: 0x301, 2: None, 3: 4095}


def test_a_backslash_at_the_end_of_a_pattern_stands_for_itself(run: Run, item: Any) -> None:
    fill(run, item, "word", ["a\\", "a", "b\\\\", "%"])
    assert run(item.where(item.word.like("a\\")).values(item.word)) == ["a\\"]
    assert run(item.where(item.word.like("%\\\\")).count()) == 2
    assert run(item.where(item.word.like("\\%")).values(item.word)) == ["%"]


def test_an_upsert_by_a_counted_key_never_changes_another_row(run: Run, schema: Compiled) -> None:
    counted = schema.daos["counted"]
    ada = run(counted.insert(counted.table.row(name="ada")))
    for wrong in (ada + 5, 0):
        with pytest.raises((ConstraintViolation, InvalidValue)):
            run(counted.upsert(counted.table.row(id=wrong, name="ada")))
    assert run(counted.all()) == [counted.table.row(id=ada, name="ada")]
    run(counted.upsert(counted.table.row(id=ada, name="eve")))
    assert run(counted.all()) == [counted.table.row(id=ada, name="eve")]
