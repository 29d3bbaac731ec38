"""Keys on expressions and CHECKs: what they find and refuse, on every engine."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pymysql
import pytest

from runtime import sql
from runtime.sql.diff import differences
from runtime.sql.engines.mysql import translate
from runtime.sql.errors import CheckViolation, ConstraintViolation, InvalidValue, UniqueViolation
from runtime.sql.urls import MysqlUrl, parse_url
from tests.sql.built import Built, Store, opened

NOON = datetime.datetime.fromisoformat("2024-05-01 12:00:00")

FIRST = datetime.datetime.fromisoformat("2020-01-01 00:00:00")


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Built:
    return Built("sql_expressions", tmp_path, monkeypatch)


@pytest.fixture
def store(sql_url: str, built: Built) -> Iterator[Store]:
    with opened(sql_url, built) as made:
        yield made


@pytest.fixture
def shop(built: Built) -> Any:
    return built.database("shop")


def account(shop: Any, account_id: int, **values: Any) -> Any:
    fields = {"email": f"{account_id}@x.org", "name": f"n{account_id}", "tenant_id": 1, "made_at": NOON}
    return shop.Account(account_id=account_id, **(fields | values))


# --- keys on expressions ---------------------------------------------------------------------------------------------


def test_a_row_has_no_field_for_an_expression(shop: Any, store: Store) -> None:
    row = account(shop, 1)
    assert [name for name in msgspec.structs.asdict(row) if "#" in name or name.startswith("_")] == []
    store.run(shop.AccountDao.insert(row))
    assert store.run(shop.AccountDao.get(1)) == row


def test_an_expression_is_unique(shop: Any, store: Store) -> None:
    dao = shop.AccountDao
    first = account(shop, 1, email="Ada@x.org")
    store.run(dao.insert(first))
    with pytest.raises(UniqueViolation) as caught:
        store.run(dao.insert(account(shop, 2, email="aDA@X.org")))
    assert (caught.value.table, caught.value.key) == ("shop.account", "account_by_email")
    assert store.run(dao.insert_if_absent(account(shop, 2, email="ada@x.org"))) == 0
    assert store.run(dao.all()) == [first]


def test_an_upsert_changes_no_row_that_has_the_expressions_value(shop: Any, store: Store) -> None:
    dao = shop.AccountDao
    first = account(shop, 1, email="Ada@x.org")
    store.run(dao.insert(first))
    with pytest.raises((ConstraintViolation, InvalidValue)):
        store.run(dao.upsert(account(shop, 2, email="aDA@X.org")))
    assert store.run(dao.all()) == [first]


def test_an_expression_that_is_null_is_not_unique(shop: Any, store: Store) -> None:
    dao = shop.AccountDao
    store.run(dao.insert_many([account(shop, n, email="a@x.org", left_at=NOON) for n in (1, 2)]))
    store.run(dao.insert(account(shop, 3, email="a@x.org")))
    with pytest.raises(UniqueViolation):
        store.run(dao.update(dao.account_id == 1).set(left_at=None))


def test_an_expression_keeps_its_columns_collation(shop: Any, store: Store) -> None:
    store.run(shop.AccountDao.insert(account(shop, 1, name=" Ada ")))
    store.run(shop.AccountDao.insert(account(shop, 2, name="ada", tenant_id=2)))
    with pytest.raises(UniqueViolation) as caught:
        store.run(shop.AccountDao.insert(account(shop, 3, name="ADA")))
    assert caught.value.key == "account_by_name"


def test_rows_are_found_by_the_value_of_an_expression(shop: Any, store: Store) -> None:
    dao = shop.AccountDao
    long = "x" * 19
    rows = [
        account(shop, 1, email="Ada@x.org", value=21, about=f"{long}yz"),
        account(shop, 2, made_at=NOON + datetime.timedelta(hours=3), value=21, about=f"{long}yw"),
        account(shop, 3, made_at=NOON + datetime.timedelta(hours=13), value=31),
    ]
    store.run(dao.insert_many(rows))
    assert store.run(dao.by_email("ada@x.org", 1)) == rows[0]
    assert store.run(dao.by_email("Ada@x.org", 1)) is None
    assert store.run(dao.by_name(1, "N2")) == rows[1]
    assert store.run(dao.by_day(NOON.date())) == [rows[1], rows[0]]
    assert store.run(dao.by_day(NOON.date(), before=2, limit=5)) == [rows[0]]
    assert store.run(dao.by_about(f"{long}y")) == [rows[1], rows[0]]
    assert store.run(dao.by_value(21, 1)) == [rows[1], rows[0]]


def test_what_an_expression_finds_is_not_kept_in_the_row_cache(shop: Any, store: Store) -> None:
    dao = shop.AccountDao
    store.run(dao.insert(account(shop, 1, email="Ada@x.org")))
    assert store.run(dao.by_email("ada@x.org", 1)).account_id == 1
    store.run(dao.update(dao.account_id == 1).set(email="Bob@x.org"))
    assert store.run(dao.by_email("ada@x.org", 1)) is None
    assert store.run(dao.by_email("bob@x.org", 1)) == store.run(dao.get(1))
    assert [place.name for place in dao.table.places] == ["account_id"]


def test_the_value_of_an_expression_is_held_to_its_type(shop: Any, store: Store) -> None:
    with pytest.raises(InvalidValue, match="account_by_day#1"):
        store.run(shop.AccountDao.by_day("2024-05-01"))


@pytest.mark.mariadb
def test_the_hidden_columns_are_in_no_row_of_hand_written_sql(shop: Any, built: Built, mariadb_url: str) -> None:
    with opened(mariadb_url, built) as store:
        row = account(shop, 1)
        store.run(shop.AccountDao.insert(row))

        class All(msgspec.Struct, frozen=True):
            account_id: int
            email: str
            name: str
            tenant_id: int
            value: int
            about: str | None
            extra: str | None
            made_at: datetime.datetime
            left_at: datetime.datetime | None

        (found,) = store.run(sql.raw("SELECT * FROM {shop.account}", into=All))
        assert found.email == row.email


# --- CHECKs ----------------------------------------------------------------------------------------------------------


def booking(shop: Any, **values: Any) -> Any:
    fields = {"booking_id": 1, "seats": 1, "kind": "day", "price": "1.00", "code": "B_12", "opens": NOON}
    fields |= {"closes": None, "lasts": None} | values
    return shop.Booking(**(fields | {"price": decimal.Decimal(fields["price"])}))


@pytest.mark.parametrize(
    ("values", "check"),
    [
        ({"seats": 0}, "booking_chk_1"),
        ({"price": "0.49"}, "fair_price"),
        ({"price": "1000.00"}, "fair_price"),
        ({"closes": NOON}, "in_order"),
        ({"opens": FIRST - datetime.timedelta(seconds=1), "closes": NOON}, "in_order"),
        ({"kind": "night", "lasts": datetime.timedelta(hours=12, seconds=1)}, "short_nights"),
        ({"code": "bB12"}, "booking_chk_2"),
        ({"code": "Bx12"}, "booking_chk_2"),
        ({"code": "B_1"}, "booking_chk_2"),
    ],
)
def test_a_row_that_breaks_a_check_is_refused_by_its_name(
    shop: Any, store: Store, values: dict[str, Any], check: str
) -> None:
    with pytest.raises(CheckViolation) as caught:
        store.run(shop.BookingDao.insert(booking(shop, **values)))
    assert (caught.value.table, caught.value.check) == ("shop.booking", check)
    assert str(caught.value) == f"shop.booking: the row breaks CHECK {check}"


@pytest.mark.parametrize(
    "values",
    [
        {"price": "0.50"},
        {"price": "999.99"},
        {"opens": FIRST, "closes": FIRST + datetime.timedelta(seconds=1)},
        {"kind": "night", "lasts": datetime.timedelta(hours=12)},
        {"kind": "night", "lasts": None},
        {"seats": 3},
    ],
)
def test_a_row_that_meets_every_check_is_written(shop: Any, store: Store, values: dict[str, Any]) -> None:
    row = booking(shop, **values)
    store.run(shop.BookingDao.insert(row))
    assert store.run(shop.BookingDao.get(1)) == row


def test_a_check_holds_an_update_too_and_the_transaction_goes_on(shop: Any, store: Store) -> None:
    dao = shop.BookingDao

    async def main() -> None:
        async with store.db.begin() as tx:
            await tx.run(dao.insert(booking(shop)))
            with pytest.raises(CheckViolation):
                await tx.run(dao.update(dao.booking_id == 1).increment(seats=-1))
            await tx.run(dao.update(dao.booking_id == 1).increment(seats=1))

    store.wait(main())
    assert store.run(dao.get(1)).seats == 2


def test_a_check_that_sqlite_lacks_holds_on_the_server_only(shop: Any, store: Store) -> None:
    write = shop.BookingDao.insert(booking(shop, code="B_-1"))
    if store.db.dialect.name == "sqlite":
        assert store.run(write) == 1
    else:
        with pytest.raises(CheckViolation, match="plain_code"):
            store.run(write)


# --- created and compared --------------------------------------------------------------------------------------------


def test_what_was_created_does_not_differ(store: Store, built: Built) -> None:
    assert store.wait(differences(store.db, store.url, built.ddl(store.db.dialect.name))) == []


def test_another_check_is_a_difference(store: Store, built: Built) -> None:
    changed = {name: text.replace("1000", "2000") for name, text in built.ddl(store.db.dialect.name).items()}
    (line,) = store.wait(differences(store.db, store.url, changed))
    assert line.startswith("shop.booking: ")
    assert "2000" in line


def test_another_expression_is_a_difference(store: Store, built: Built) -> None:
    scripts = built.ddl(store.db.dialect.name)
    changed = {name: text.replace("% 10", "% 11") for name, text in scripts.items()}
    lines = store.wait(differences(store.db, store.url, changed))
    assert [line.partition(":")[0] for line in lines] == ["shop.account"]


@pytest.mark.parametrize(
    ("number", "reason", "kind", "named"),
    [
        (3819, "Check constraint 'fair_price' is violated.", CheckViolation, "fair_price"),
        (4025, "CONSTRAINT `fair_price` failed for `x_shop`.`booking`", CheckViolation, "fair_price"),
        (4025, "CONSTRAINT `booking.extra` failed for `x_shop`.`booking`", InvalidValue, "booking.extra"),
    ],
)
def test_a_broken_check_is_told_from_a_broken_type_in_each_servers_words(
    number: int, reason: str, kind: type[Exception], named: str
) -> None:
    url = parse_url("mysql://u:p@host/")
    assert isinstance(url, MysqlUrl)
    found = translate(url, pymysql.err.OperationalError(number, reason), "shop.booking")
    assert type(found) is kind
    assert named in str(found)
