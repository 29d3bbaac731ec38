"""Loaders of foreign keys, and what cascades change, on every engine."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.sql.diff import differences
from runtime.sql.errors import ForeignKeyViolation
from tests.sql.built import Built, Store, opened


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Built:
    return Built("sql_references", tmp_path, monkeypatch)


@pytest.fixture
def store(sql_url: str, built: Built) -> Iterator[Store]:
    with opened(sql_url, built) as made:
        yield made


@pytest.fixture
def shop(built: Built, store: Store) -> Any:
    """The generated package, its store holding three customers, two products and three purchases."""
    shop = built.database("shop")
    customer, product, purchase = shop.Customer, shop.Product, shop.Purchase
    store.run(shop.CustomerDao.insert(customer("ada@x.org", 1, nick="ada")))
    store.run(shop.CustomerDao.insert(customer("bob@x.org", 2, invited_by=1)))
    store.run(shop.CustomerDao.insert(customer("cid@x.org", 3, invited_by=1)))
    store.run(shop.ProductDao.insert_many([product("acme", 1), product("acme", 2)]))
    store.run(
        shop.PurchaseDao.insert_many(
            [
                purchase(10, 1, "acme", 1, 300),
                purchase(11, 1, "acme", 2, 200, payer_id=2),
                purchase(12, 2, "acme", 1, 100, payer_id=2),
            ]
        )
    )
    return shop


def test_a_row_leads_to_the_one_it_names(shop: Any, store: Store) -> None:
    row = store.run(shop.PurchaseDao.get(11))
    assert store.run(shop.PurchaseDao.buyer_of(row)).customer_id == 1
    assert store.run(shop.PurchaseDao.payer_of(row)).customer_id == 2
    assert store.run(shop.PurchaseDao.maker_and_code_of(row)) == shop.Product("acme", 2)


def test_a_reference_that_is_null_leads_nowhere(shop: Any, store: Store) -> None:
    first, ada = store.run(shop.PurchaseDao.get(10)), store.run(shop.CustomerDao.get(1))
    assert store.run(shop.PurchaseDao.payer_of(first)) is None
    assert store.run(shop.CustomerDao.invited_by_of(ada)) is None


def test_rows_lead_to_those_they_name_in_one_statement(shop: Any, store: Store) -> None:
    rows = store.run(shop.PurchaseDao.all())
    statements: list[str] = []
    store.db.observe(lambda table, kind, *_: statements.append(f"{kind} {table}"))
    buyers = store.run(shop.PurchaseDao.buyer_of_many(rows))
    payers = store.run(shop.PurchaseDao.payer_of_many(rows))
    products = store.run(shop.PurchaseDao.maker_and_code_of_many(rows))
    assert {key: row.customer_id for key, row in buyers.items()} == {1: 1, 2: 2}
    assert list(payers) == [2]
    assert set(products) == {("acme", 1), ("acme", 2)}
    assert len(statements) == 3
    assert store.run(shop.PurchaseDao.buyer_of_many([])) == {}


def test_a_row_is_led_to_by_those_that_name_it_in_the_order_of_their_index(shop: Any, store: Store) -> None:
    ada, bob = store.run(shop.CustomerDao.get(1)), store.run(shop.CustomerDao.get(2))
    assert [row.purchase_id for row in store.run(shop.CustomerDao.purchase_by_buyer_id(ada))] == [10, 11]
    assert [row.purchase_id for row in store.run(shop.CustomerDao.purchase_by_payer_id(bob))] == [12, 11]
    assert [row.customer_id for row in store.run(shop.CustomerDao.customer_by_invited_by(ada))] == [3, 2]


def test_the_rows_that_name_one_are_a_select_to_go_on_with(shop: Any, store: Store) -> None:
    ada = store.run(shop.CustomerDao.get(1))
    bought = shop.CustomerDao.purchase_by_buyer_id(ada)
    assert store.run(bought.where(shop.PurchaseDao.made_ms < 300).count()) == 1
    assert [row.purchase_id for row in store.run(bought.order_by(shop.PurchaseDao.made_ms.asc()).limit(1))] == [11]


def test_references_to_unique_keys_lead_by_their_finders(shop: Any, store: Store) -> None:
    letters = [shop.Newsletter(1, "ada@x.org", "ada"), shop.Newsletter(2, "bob@x.org")]
    store.run(shop.NewsletterDao.insert_many(letters))
    ada = store.run(shop.CustomerDao.by_email("ada@x.org"))
    bob = store.run(shop.CustomerDao.get(2))
    assert store.run(shop.NewsletterDao.email_of(letters[0])) == ada
    assert store.run(shop.NewsletterDao.nick_of(letters[0])) == ada
    assert store.run(shop.NewsletterDao.nick_of(letters[1])) is None
    assert store.run(shop.NewsletterDao.customer_of(letters[1])) == bob
    assert store.run(shop.NewsletterDao.email_of_many(letters)) == {"ada@x.org": ada, "bob@x.org": bob}
    assert store.run(shop.NewsletterDao.nick_of_many(letters)) == {"ada": ada}
    assert store.run(shop.CustomerDao.newsletter_by_nick(ada)) == [letters[0]]
    assert store.run(shop.CustomerDao.newsletter_by_nick(bob)) == [], "a NULL is named by nothing"


def test_references_lead_to_another_database(shop: Any, built: Built, store: Store) -> None:
    support = built.database("support")
    store.run(support.CustomerDao.insert(support.Customer(2)))
    with pytest.raises(ForeignKeyViolation):
        store.run(support.CustomerDao.insert(support.Customer(99)))
    bob = store.run(shop.CustomerDao.get(2))
    assert store.run(support.CustomerDao.customer_of(support.Customer(2))) == bob
    assert store.run(shop.CustomerDao.support_customer_by_customer_id(bob)) == [support.Customer(2)]


def test_a_delete_changes_rows_of_the_tables_that_cascades_name_and_of_no_other(
    shop: Any, built: Built, store: Store
) -> None:
    support = built.database("support")
    store.run(support.CustomerDao.insert(support.Customer(1)))
    store.run(support.TicketDao.insert(support.Ticket(5, 1)))
    store.run(shop.NewsletterDao.insert(shop.Newsletter(1, "ada@x.org")))
    store.run(shop.ProductDao.update(shop.ProductDao.code == 1).set(best=10))
    daos = {
        dao.table.name: dao
        for dao in (
            *(shop.CustomerDao, shop.NewsletterDao, shop.ProductDao, shop.PurchaseDao),
            *(support.CustomerDao, support.TicketDao),
        )
    }
    before = {name: store.run(dao.all()) for name, dao in daos.items()}
    store.run(shop.CustomerDao.delete(customer_id=1))
    after = {name: store.run(dao.all()) for name, dao in daos.items()}
    changed = {name for name in daos if before[name] != after[name]}
    assert changed == set(shop.CustomerDao.table.cascades)
    assert {name: dao.table.cascades for name, dao in daos.items() if name != "shop.customer"} == {
        "shop.newsletter": (),
        "shop.product": ("shop.purchase",),
        "shop.purchase": ("shop.product",),
        "support.customer": ("support.ticket",),
        "support.ticket": (),
    }


def test_what_was_created_does_not_differ(store: Store, built: Built) -> None:
    assert store.wait(differences(store.db, store.url, built.ddl(store.db.dialect.name))) == []


def test_another_action_of_a_foreign_key_is_a_difference(store: Store, built: Built) -> None:
    changed = {name: text.replace("SET NULL", "CASCADE") for name, text in built.ddl(store.db.dialect.name).items()}
    lines = store.wait(differences(store.db, store.url, changed))
    assert [line.partition(":")[0] for line in lines] == ["shop.customer", "shop.product"]


def test_importing_a_table_imports_none_it_refers_to(built: Built) -> None:
    code = (
        f"import {built.package}.sql.shop.purchase, sys\n"
        f"print(*sorted(name for name in sys.modules if name.startswith('{built.package}.sql.')))"
    )
    paths = {"PYTHONPATH": f"{built.folder}:{Path(__file__).parents[2]}"}
    done = subprocess.run([sys.executable, "-c", code], env=paths, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [f"{built.package}.sql.shop", f"{built.package}.sql.shop.purchase"]
