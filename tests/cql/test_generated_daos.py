"""What generated DAOs ask for: their methods' requests, and that only those exist which the key makes legal."""

from __future__ import annotations

import datetime
import decimal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import msgspec
import pytest

from generators.diagnostics import SchemaError
from runtime import cql
from runtime.cql.errors import InvalidValue
from runtime.cql.statements import UNSET, Bound, Change, Delete, Insert, Outcome, Relation, Select, Update
from tests.cql.compiled_keyspaces import Compiled, compiled, golden

ROOT = Path(__file__).parents[2]
CASES = [
    ("cql_keys", "keys"),
    ("cql_types", "kinds"),
    ("cql_tables", "shop"),
    ("cql_indexes", "search"),
    ("cql_names", "odd"),
]


@pytest.fixture
def made(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Compiled:
    return golden(request.param, tmp_path, monkeypatch)


def asked(query: cql.Query[Any]) -> tuple[Any, tuple[Any, ...]]:
    request = query.resolve().request
    assert isinstance(request, Bound)
    return request.statement, request.params


def methods(dao: Any) -> set[str]:
    """The methods that this DAO has beside those of every table."""
    return {name for name in vars(dao) if not name.startswith("_") and isinstance(vars(dao)[name], classmethod)}


READS = {"get", "get_many", "slice_in", "partitions", "to_message", "from_message"}
SLICES = {"get_in", "slice"}


@pytest.mark.parametrize("made", ["cql_keys"], indirect=True)
def test_a_table_has_only_the_methods_that_its_key_allows(made: Compiled) -> None:
    daos = made.daos("keys")
    assert methods(daos["one"]) == READS | {"update", "delete"}
    assert methods(daos["one_one"]) == READS | SLICES | {"update", "delete", "delete_slice", "delete_partition"}
    assert methods(daos["key_alone"]) == READS | SLICES | {"delete", "delete_slice", "delete_partition"}
    assert not hasattr(made.keyspace("keys"), "KeyAloneUpdate")


@pytest.mark.parametrize("made", ["cql_tables"], indirect=True)
def test_counters_are_incremented_and_views_are_read(made: Compiled) -> None:
    daos = made.daos("shop")
    assert methods(daos["total"]) == READS | {"increment", "delete"}
    assert {"increment", "increment_static"} <= methods(daos["clicks"])
    assert not hasattr(daos["clicks"], "insert")
    assert methods(daos["cart_by_colour"]) == READS | SLICES
    assert not hasattr(daos["cart_by_colour"], "insert")
    assert methods(daos["only_static"]) & {"update", "update_static"} == {"update_static"}


@pytest.mark.parametrize("made", ["cql_keys"], indirect=True)
def test_reads_by_key(made: Compiled) -> None:
    dao = made.dao("keys", "several_several")
    first, second, third = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC), uuid.UUID(int=1), decimal.Decimal("1.5")
    key = {"region": "eu", "day": datetime.date(2024, 1, 1), "first": first, "second": second, "third": third}
    statement, params = asked(dao.get(**key))
    assert isinstance(statement, Select)
    assert statement.where == tuple(Relation((name,), "=") for name in ("region", "day", "first", "second", "third"))
    assert params == tuple(key.values())
    assert [part.resolve().request.params for part in dao.get_many([tuple(key.values())]).parts()] == [params]
    statement, params = asked(dao.get_in(**key | {"third": [third, third + 1]}))
    assert (statement.where[-1], params[-1]) == (Relation(("third",), "in"), [third, third + 1])
    statement, params = asked(dao.slice_in(region="eu", day=[key["day"]], limit=3))
    assert (statement.where, params) == (
        (Relation(("region",), "="), Relation(("day",), "in")),
        ("eu", [key["day"]], 3),
    )
    statement, _ = asked(dao.partitions())
    assert statement.distinct
    assert [term.column for term in statement.terms] == ["region", "day"]


@pytest.mark.parametrize("made", ["cql_keys"], indirect=True)
def test_slices_by_every_prefix_of_the_clustering_key(made: Compiled) -> None:
    dao = made.dao("keys", "several_several")
    day, moment = datetime.date(2024, 1, 1), datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    partition = {"region": "eu", "day": day}

    def where(**given: Any) -> tuple[Relation, ...]:
        return asked(dao.slice(**partition, **given))[0].where[2:]

    assert where() == ()
    assert where(after=moment) == (Relation(("first",), ">"),)
    assert where(at_most=(moment, uuid.UUID(int=1))) == (Relation(("first", "second"), "<="),)
    assert where(first=moment) == (Relation(("first",), "="),)
    assert where(first=moment, before=uuid.UUID(int=1)) == (Relation(("first",), "="), Relation(("second",), "<"))
    assert where(first=moment, second=uuid.UUID(int=1), at_least=decimal.Decimal(1))[-1] == Relation(("third",), ">=")
    statement, params = asked(dao.delete_slice(**partition, first=moment))
    assert isinstance(statement, Delete)
    assert params == ("eu", day, moment)
    with pytest.raises(TypeError, match="delete_partition"):
        dao.delete_slice(**partition)


@pytest.mark.parametrize("made", ["cql_keys"], indirect=True)
def test_keys_of_collections_can_be_hashed(made: Compiled) -> None:
    dao = made.dao("keys", "key_of_collections")
    key = (frozenset({"a"}), (1, "b"), ("c", "d"), cql.FrozenMap({"e": (1, 2)}))
    row = dao.table.row(*key)
    (read,) = dao.get_many([key]).parts()
    reading = read.resolve()
    assert reading.request.params == key
    found = reading.read(Outcome([(*key, None)]))
    assert found == row
    assert dao.get_many([key]).combine([row]) == {key: row}
    for column, value in zip(dao.table.primary_key, key, strict=True):
        assert column.type.decode(column.type.encode(value)) == value
        assert hash(column.type.decode(column.type.encode(value))) == hash(value)
    names = {"id": key[0], "pair": key[1], "path": key[2]}
    assert asked(dao.slice(**names, after=key[3]))[0].where[-1] == Relation(("weight",), ">")
    # A bound of the first columns whose value is a tuple itself is always a tuple of columns.
    statement, params = asked(dao.slice(id=key[0], after=(key[1],)))
    assert (statement.where[-1], params[-1]) == (Relation(("pair",), ">"), key[1])
    statement, params = asked(dao.slice(id=key[0], pair=key[1], after=(key[2],)))
    assert (statement.where[-1], params[-1]) == (Relation(("path",), ">"), key[2])


@pytest.mark.parametrize("made", ["cql_tables"], indirect=True)
def test_inserts_and_updates(made: Compiled) -> None:
    shop = made.keyspace("shop")
    row = shop.Cart(1, 2, count=3)
    assert row.marks == set()
    statement, params = asked(shop.CartDao.insert(row, ttl=60))
    assert isinstance(statement, Insert)
    given = dict(zip(statement.columns, params, strict=False))
    assert {name: value for name, value in given.items() if value is not UNSET} == {
        "cart_id": 1,
        "item_id": 2,
        "count": 3,
    }
    assert params[-1] == 60
    update = shop.CartDao.update(cart_id=1, item_id=2)
    statement, params = asked(
        update.set(count=1)
        .append(notes=["a"])
        .put_at(notes={0: "b"})
        .add(marks={"c"})
        .put(prices={"d": decimal.Decimal(1)})
        .set_billed(street="e")
    )
    assert isinstance(statement, Update)
    assert [(each.column, each.operation, each.field) for each in statement.changes] == [
        ("count", "set", ""),
        ("notes", "append", ""),
        ("notes", "item", ""),
        ("marks", "add", ""),
        ("prices", "add", ""),
        ("billed", "field", "street"),
    ]
    statement, params = asked(update.discard(marks={"x"}, prices={"y"}))
    assert params[:2] == ({"x"}, {"y"})
    statement, _ = asked(shop.CartDao.update_static(cart_id=1).set(owner="me").set_sent_to(city="here"))
    assert statement.where == (Relation(("cart_id",), "="),)
    assert not hasattr(shop.CartStaticUpdate, "put")
    assert not hasattr(shop.OnlyStaticStaticUpdate, "add")
    with pytest.raises(InvalidValue, match=r"shop\.cart\.colour"):
        update.set(colour=128).resolve()


@pytest.mark.parametrize("made", ["cql_tables"], indirect=True)
def test_counters(made: Compiled) -> None:
    shop = made.keyspace("shop")
    day = datetime.date(2024, 1, 1)
    statement, params = asked(shop.VisitsDao.increment(shop=1, day=day, people=2, pages=-1))
    assert statement.changes == (Change("people", "increment"), Change("pages", "increment"))
    assert params == (2, -1, 1, day)
    statement, _ = asked(shop.ClicksDao.increment_static(shop=1, in_all=1))
    assert statement.where == (Relation(("shop",), "="),)


@pytest.mark.parametrize("made", ["cql_indexes"], indirect=True)
def test_finders_of_indexes(made: Compiled) -> None:
    dao = made.dao("search", "item")

    def where(query: cql.Query[Any]) -> tuple[Any, ...]:
        statement, params = asked(query)
        return (*statement.where, *params)

    assert where(dao.by_name("a")) == (Relation(("name",), "="), "a")
    assert where(dao.by_word("a")) == (Relation(("words",), "contains"), "a")
    assert where(dao.by_tag("a")) == (Relation(("tags",), "contains"), "a")
    assert where(dao.by_amount(1)) == (Relation(("amounts",), "contains"), 1)
    assert where(dao.by_size("a")) == (Relation(("sizes",), "contains key"), "a")
    assert where(dao.by_level("a", 1)) == (Relation(("levels",), "entry"), "a", 1)
    assert where(dao.by_path(["a"])) == (Relation(("path",), "="), ["a"])
    assert where(dao.by_price(decimal.Decimal(1))) == (Relation(("price",), "="), decimal.Decimal(1))
    assert where(dao.by_price(at_least=decimal.Decimal(1), before=decimal.Decimal(2)))[:2] == (
        Relation(("price",), ">="),
        Relation(("price",), "<"),
    )
    with pytest.raises(TypeError):
        dao.by_open(True, after=False)
    statement, params = asked(dao.nearest_embedding([1.0, 0.0, 0.0], 5))
    assert (statement.nearest, params) == ("embedding", ([1.0, 0.0, 0.0], 5))
    assert {index.name for index in dao.table.indexes} >= {"item_name_idx", "item_by_embedding"}


@pytest.mark.parametrize("made", ["cql_tables"], indirect=True)
def test_a_view_knows_its_base_and_its_conditions(made: Compiled) -> None:
    shop = made.keyspace("shop")
    view = shop.CartByColourDao.table.view
    assert view is not None
    assert view.base is shop.CartDao.table
    assert view.not_null == ("colour", "cart_id", "item_id")
    assert view.filters == (("item_id", ">", 0),)


@pytest.mark.parametrize("made", ["cql_types"], indirect=True)
def test_values_of_user_defined_types_can_be_hashed(made: Compiled) -> None:
    kinds = made.keyspace("kinds")
    address = kinds.Address(
        lines=("a", "b"),
        tags=frozenset({"c"}),
        phones=cql.FrozenMap({"d": (1,)}),
        place=kinds.Place(1.0, 2.0),
        seen=(None, None),
        vector=(1.0, 2.0, 3.0),
    )
    row = kinds.People(1, work=address, moved=[address], known={address}, pair=(None, address))
    statement, params = asked(kinds.PeopleDao.insert(row))
    given = dict(zip(statement.columns, params, strict=False))
    for name in ("work", "moved", "known", "pair"):
        column = kinds.PeopleDao.table.column(name)
        assert column.type.decode(column.type.encode(given[name])) == getattr(row, name)


@pytest.mark.parametrize(("made", "keyspace"), CASES, indirect=["made"])
def test_what_a_cluster_must_have_agrees_with_the_tables(made: Compiled, keyspace: str) -> None:
    told = made.keyspace(keyspace).KEYSPACE
    daos = made.daos(keyspace)
    for each in (*told.tables, *told.views):
        table = daos[each.name].table
        said = {column.name: (column.type, column.kind, column.descending) for column in each.columns}
        assert said == {column.name: (column.type.text, column.kind, column.descending) for column in table.columns}
        assert each.partition_key == tuple(column.name for column in table.partition_key)
        assert each.clustering == tuple(column.name for column in table.clustering)
        assert table.path == (told.name, each.name)
        assert each.cql.startswith("CREATE ")


@pytest.mark.cassandra
@pytest.mark.parametrize(("made", "keyspace"), CASES, indirect=["made"])
def test_cassandra_takes_what_a_keyspace_must_have(made: Compiled, keyspace: str, cassandra_address: str) -> None:
    from cassandra.cluster import Cluster

    told = made.keyspace(keyspace).KEYSPACE
    name = f"walker_{uuid.uuid4().hex[:12]}"
    host, _, port = cassandra_address.rpartition(":")
    with Cluster([host], port=int(port)) as cluster, cluster.connect() as session:
        session.default_timeout = 60
        session.execute(
            f"CREATE KEYSPACE {name} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}"
        )
        try:
            session.set_keyspace(name)
            for each in (*told.types, *told.tables, *told.indexes, *told.views):
                session.execute(each.cql)
            text = "SELECT table_name, column_name, type, kind FROM system_schema.columns WHERE keyspace_name = %s"
            found = {
                (row.table_name, row.column_name): (row.type, row.kind.removesuffix("_key"))
                for row in session.execute(text, (name,))
            }
        finally:
            session.execute(f"DROP KEYSPACE {name}")
    assert found == {
        (each.name, column.name): (column.type, column.kind)
        for each in (*told.tables, *told.views)
        for column in each.columns
    }


@pytest.mark.parametrize("made", ["cql_names"], indirect=True)
def test_odd_names_keep_their_columns(made: Compiled) -> None:
    odd = made.keyspace("odd")
    row = odd.Group(1, 2, 3, 4, Mixed_Case=5, types_=odd.Class(self_=1), values={"a": 1})
    statement, params = asked(odd.GroupDao.insert(row))
    given = dict(zip(statement.columns, params, strict=True))
    assert (given["self"], given["Mixed Case"], given["values"]) == (1, 5, {"a": 1})
    assert asked(odd.GroupDao.get(self_=1, class_=2, limit_=3, after_=4))[1] == (1, 2, 3, 4)
    assert odd.SchemaDao.table.name == "Odd.schema"
    assert msgspec.structs.replace(row, c__init__=7).c__init__ == 7


def test_modules_are_imported_at_first_use() -> None:
    code = (
        "import sys; from generated.cql.sun_msg import MessageDao; "
        "print(sorted(name for name in sys.modules if name.startswith('generated.cql.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    modules = ["generated.cql.sun_msg", "generated.cql.sun_msg._types", "generated.cql.sun_msg.message"]
    assert done.stdout.strip() == str(modules)


@pytest.mark.parametrize(
    ("kind", "condition", "value"),
    [
        ("int", "a > -5", -5),
        ("text", "a = 'its'", "its"),
        ("boolean", "a = true", True),
        ("blob", "a >= 0x00ff", b"\0\xff"),
        ("decimal", "a < 1.50", decimal.Decimal("1.50")),
        ("double", "a <= 1e3", 1000.0),
        ("uuid", "a = 00000000-0000-0000-0000-000000000001", uuid.UUID(int=1)),
        ("date", "a = '2024-02-29'", datetime.date(2024, 2, 29)),
        ("date", "a = 2147483648", datetime.date(1970, 1, 1)),
        ("time", "a = '00:00:01.5'", 1_500_000_000),
        ("timestamp", "a > '2024-01-01 12:00:00+0200'", datetime.datetime(2024, 1, 1, 10, tzinfo=datetime.UTC)),
        ("timestamp", "a > 1500", datetime.datetime(1970, 1, 1, 0, 0, 1, 500_000, datetime.UTC)),
        ("int", "a IN (1, 2)", [1, 2]),
        ("text", "a IN ('a,b', 'c')", ["a,b", "c"]),
    ],
)
def test_conditions_of_views_are_values(
    kind: str, condition: str, value: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"""
        CREATE TABLE base (a {kind}, b int, PRIMARY KEY (b, a));
        CREATE MATERIALIZED VIEW seen AS SELECT * FROM base WHERE a IS NOT NULL AND {condition} AND b IS NOT NULL
          PRIMARY KEY (a, b);
    """
    ((_, _, found),) = compiled(text, tmp_path, monkeypatch).dao("app", "seen").table.view.filters
    assert found == value


@pytest.mark.parametrize(
    ("kind", "constant"),
    [("int", "'a'"), ("text", "5"), ("timestamp", "'2024-01-01'"), ("date", "'2024-13-01'"), ("decimal", "0x00")],
)
def test_a_condition_without_a_value_is_refused(
    kind: str, constant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"""
        CREATE TABLE base (a {kind}, b int, PRIMARY KEY (b, a));
        CREATE MATERIALIZED VIEW seen AS SELECT * FROM base WHERE a IS NOT NULL AND a = {constant} AND b IS NOT NULL
          PRIMARY KEY (a, b);
    """
    with pytest.raises(SchemaError, match=f"bad-view: view seen compares `a` with {constant}, which is no {kind}"):
        compiled(text, tmp_path, monkeypatch)
