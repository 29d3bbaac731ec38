"""What foreign keys come to: the names of loaders, the order of the rows that point, what cascades change."""

from __future__ import annotations

import pytest

from generators import ir
from generators.diagnostics import Diagnostics
from generators.sql_parser import parse_database
from generators.sql_references import cascades, order, references


def schema(text: str) -> ir.Schema:
    diagnostics = Diagnostics()
    database = parse_database(text.encode(), "shop", "shop.sql", diagnostics)
    diagnostics.raise_if_any()
    return ir.Schema((database,))


TARGETS = """
CREATE TABLE user (id INT PRIMARY KEY, a INT, b INT, UNIQUE (a, b), UNIQUE (b));
CREATE TABLE person (id INT PRIMARY KEY);
"""


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        ("author_id INT, FOREIGN KEY (author_id) REFERENCES user (id)", [("author_of", "post_by_author_id")]),
        ("authorId INT, FOREIGN KEY (authorId) REFERENCES user (id)", [("author_of", "post_by_authorId")]),
        ("AUTHOR_ID INT, FOREIGN KEY (AUTHOR_ID) REFERENCES user (id)", [("AUTHOR_of", "post_by_AUTHOR_ID")]),
        ("paid INT, FOREIGN KEY (paid) REFERENCES user (id)", [("paid_of", "post_by_paid")]),
        ("id INT, FOREIGN KEY (id) REFERENCES user (id)", [("user_of", "post_by_id")]),
        ("`_id` INT, FOREIGN KEY (`_id`) REFERENCES user (id)", [("user_of", "post_by__id")]),
        ("`3 x` INT, FOREIGN KEY (`3 x`) REFERENCES user (id)", [("c_3_x_of", "post_by_3_x")]),
        (
            "x_id INT, y_id INT, FOREIGN KEY (x_id, y_id) REFERENCES user (a, b)",
            [("x_and_y_of", "post_by_x_id_and_y_id")],
        ),
        (
            "u INT, FOREIGN KEY (u) REFERENCES user (id), FOREIGN KEY (u) REFERENCES person (id)",
            [("user_of", "post_by_u"), ("person_of", "post_by_u")],
        ),
        (
            "u INT, FOREIGN KEY (u) REFERENCES user (id), CONSTRAINT twice FOREIGN KEY (u) REFERENCES user (id)",
            [("u_of", "post_by_u")],
        ),
    ],
)
def test_loaders_are_named_after_columns_or_tables(keys: str, names: list[tuple[str, str]]) -> None:
    found = references(schema(f"{TARGETS} CREATE TABLE post ({keys});"))
    assert [(each.forward, each.backward) for each in found] == names


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("PRIMARY KEY (id)", ("id",)),
        ("PRIMARY KEY (id), KEY (u, made)", ("made", "id")),
        ("PRIMARY KEY (id), KEY (made, u), KEY (u), KEY (u, made)", ("id",)),
        ("PRIMARY KEY (u, made), KEY (u, id)", ("made",)),
        ("PRIMARY KEY (id), KEY (u, t(5), made)", ()),
        ("PRIMARY KEY (id), KEY (u, (made + 1), made)", ()),
        ("PRIMARY KEY (id), UNIQUE (u)", ()),
        ("KEY (u, made)", ("made",)),
        ("KEY (made)", ()),
    ],
)
def test_rows_that_point_lie_in_the_order_of_the_index_that_finds_them(keys: str, expected: tuple[str, ...]) -> None:
    (database,) = schema(f"CREATE TABLE post (id INT, u INT, made INT, t TEXT, {keys})").databases
    assert order(database.tables[0], ("u",)) == expected


def changed(actions: dict[str, str]) -> dict[str, tuple[str, ...]]:
    """What cascades change among a ← b ← c, where each refers to the one before by `up`, which c refers to as well."""
    return cascades(
        schema(f"""
            CREATE TABLE a (id INT PRIMARY KEY);
            CREATE TABLE b (id INT PRIMARY KEY, up INT UNIQUE, FOREIGN KEY (up) REFERENCES a (id) {actions["b"]});
            CREATE TABLE c (id INT PRIMARY KEY, up INT, b_up INT,
              CONSTRAINT c1 FOREIGN KEY (up) REFERENCES b (id) {actions["c"]},
              CONSTRAINT c2 FOREIGN KEY (b_up) REFERENCES b (up) {actions.get("c by up", "")});
        """)
    )


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        ({"b": "", "c": ""}, {}),
        ({"b": "ON DELETE RESTRICT ON UPDATE NO ACTION", "c": ""}, {}),
        ({"b": "ON DELETE CASCADE", "c": ""}, {"shop.a": ("shop.b",)}),
        (
            {"b": "ON DELETE CASCADE", "c": "ON DELETE SET NULL"},
            {"shop.a": ("shop.b", "shop.c"), "shop.b": ("shop.c",)},
        ),
        # The rows of b only change, and not in what c refers to by.
        ({"b": "ON DELETE SET NULL", "c": "ON DELETE CASCADE"}, {"shop.a": ("shop.b",), "shop.b": ("shop.c",)}),
        (
            {"b": "ON DELETE SET NULL", "c": "", "c by up": "ON UPDATE CASCADE"},
            {"shop.a": ("shop.b", "shop.c"), "shop.b": ("shop.c",)},
        ),
        ({"b": "ON UPDATE CASCADE", "c": "ON UPDATE CASCADE"}, {"shop.a": ("shop.b",), "shop.b": ("shop.c",)}),
    ],
)
def test_cascades_follow_what_changes(actions: dict[str, str], expected: dict[str, tuple[str, ...]]) -> None:
    assert changed(actions) == expected


def test_a_circle_of_cascades_ends() -> None:
    text = """
        CREATE TABLE a (id INT PRIMARY KEY, b INT, FOREIGN KEY (b) REFERENCES b (id) ON DELETE CASCADE);
        CREATE TABLE b (id INT PRIMARY KEY, a INT, FOREIGN KEY (a) REFERENCES a (id) ON DELETE CASCADE);
    """
    assert cascades(schema(text)) == {"shop.a": ("shop.a", "shop.b"), "shop.b": ("shop.a", "shop.b")}


def test_a_foreign_key_said_twice_cascades_as_both_say() -> None:
    text = """
        CREATE TABLE a (id INT PRIMARY KEY);
        CREATE TABLE b (a INT, FOREIGN KEY (a) REFERENCES a (id), FOREIGN KEY (a) REFERENCES a (id) ON DELETE CASCADE);
    """
    assert cascades(schema(text)) == {"shop.a": ("shop.b",)}
