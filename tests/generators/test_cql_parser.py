"""CQL DDL read into the IR, and what is refused of it, word for word."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generators import cql_ddl, ir, pipeline
from generators.cql_parser import parse_keyspace, parse_keyspaces
from generators.diagnostics import Diagnostics, SchemaError
from tests.examples import drawn


def read(text: str) -> ir.Keyspace:
    """The keyspace of a sound schema."""
    diagnostics = Diagnostics()
    keyspace = parse_keyspace(text.encode(), "shop", "schema/cql/shop.cql", diagnostics)
    diagnostics.raise_if_any()
    return keyspace


def table(body: str, rest: str = "") -> ir.CqlTable:
    return read(f"CREATE TABLE t ({body}) {rest}").tables[0]


def column(text: str) -> ir.CqlColumn:
    """A regular column of this declaration."""
    return read(f"CREATE TYPE u (a int); CREATE TABLE t (k int PRIMARY KEY, {text})").tables[0].columns[1]


def errors(data: str | bytes) -> list[str]:
    """Every error without its file: `line:column: code: message`."""
    diagnostics = Diagnostics()
    parse_keyspace(data.encode() if isinstance(data, str) else data, "shop", "shop.cql", diagnostics)
    return [str(found).removeprefix("shop.cql:") for found in SchemaError(diagnostics.found).diagnostics]


def error(text: str) -> str:
    """The one error, without its place."""
    (found,) = errors(text)
    return found.split(": ", 1)[1]


# --- types -----------------------------------------------------------------------------------------------------------

_U = ir.UserDefined("u")
_INTS = ir.List(ir.Int(32))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ascii", ir.Ascii()),
        ("bigint", ir.Int(64)),
        ("blob", ir.Bytes()),
        ("BOOLEAN", ir.Bool()),
        ("date", ir.Date()),
        ("decimal", ir.Number()),
        ("double", ir.Float(64)),
        ("duration", ir.Duration()),
        ("float", ir.Float(32)),
        ("inet", ir.Inet()),
        ("Int", ir.Int(32)),
        ("smallint", ir.Int(16)),
        ("text", ir.Text()),
        ("varchar", ir.Text()),
        ("time", ir.Time(9)),
        ("timestamp", ir.DateTime(3, instant=True)),
        ("timeuuid", ir.Uuid(time=True)),
        ("tinyint", ir.Int(8)),
        ("uuid", ir.Uuid()),
        ("varint", ir.Varint()),
        ("list<int>", _INTS),
        ("set < text >", ir.Set(ir.Text())),
        ("map<text, int>", ir.Map(ir.Text(), ir.Int(32))),
        ("tuple<int, text>", ir.Tuple((ir.Int(32), ir.Text()))),
        ("vector<float, 3>", ir.Vector(ir.Float(32), 3)),
        ("u", _U),
        ('"u"', _U),
        ("map<frozen<u>, int>", ir.Map(_U, ir.Int(32))),
    ],
)
def test_each_type_has_its_place_in_the_ir(text: str, expected: ir.Type) -> None:
    assert column(f"v {text}").type == expected


def test_a_counter_is_a_type_of_its_own() -> None:
    made = table("k int PRIMARY KEY, n counter")
    assert (made.columns[1].type, made.is_counter) == (ir.Counter(), True)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("frozen<list<int>>", "frozen<frozen<list<int>>>", ir.Frozen(_INTS)),
        ("frozen<list<list<int>>>", "frozen<list<frozen<list<int>>>>", ir.Frozen(ir.List(_INTS))),
        ("tuple<int, u>", "frozen<tuple<int, frozen<u>>>", ir.Tuple((ir.Int(32), _U))),
        ("tuple<list<list<int>>>", "tuple<frozen<list<frozen<list<int>>>>>", ir.Tuple((ir.List(_INTS),))),
        ("vector<u, 2>", "frozen<vector<frozen<u>, 2>>", ir.Vector(_U, 2)),
        ("frozen<map<text, u>>", "frozen<map<text, frozen<u>>>", ir.Frozen(ir.Map(ir.Text(), _U))),
        ("list<tuple<int>>", "list<frozen<tuple<int>>>", ir.List(ir.Tuple((ir.Int(32),)))),
    ],
)
def test_two_spellings_of_a_type_are_one(first: str, second: str, expected: ir.Type) -> None:
    assert (column(f"v {first}").type, column(f"v {second}").type) == (expected, expected)


def test_a_frozen_collection_is_another_type_than_the_collection() -> None:
    assert column("v list<int>").type != column("v frozen<list<int>>").type
    assert column("v u").type != column("v frozen<u>").type


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("list", "bad-type: `list` needs what it is made of: write list<…>"),
        ("list<int", "syntax: `>` is missing here"),
        ("list<int, int>", "syntax: `,` stands where `>` was expected"),
        ("map<int>", "syntax: `>` stands where `,` was expected"),
        ("tuple<>", "syntax: `>` stands where a type was expected"),
        (
            "frozen<int>",
            "bad-type: only a collection, a tuple or a user-defined type can be frozen: write the type alone",
        ),
        (
            "frozen<counter>",
            "bad-type: only a collection, a tuple or a user-defined type can be frozen: write the type alone",
        ),
        ("nosuch", "unknown-type: there is no type `nosuch`: use one of CQL's or declare it with CREATE TYPE"),
        ("date<int>", "syntax: `<` is not understood after the column"),
        ("empty", "unknown-type: there is no type `empty`: use one of CQL's or declare it with CREATE TYPE"),
        (
            "'org.apache.cassandra.db.marshal.Int32Type'",
            (
                "unsupported: 'org.apache.cassandra.db.marshal.Int32Ty… is a class of Java, which has no form in "
                "Python here: use a type of CQL"
            ),
        ),
        ("list<list<int>>", "bad-type: what a list holds must be frozen: write frozen<list<int>>"),
        ("set<u>", "bad-type: what a set holds must be frozen: write frozen<u>"),
        ("map<text, list<int>>", "bad-type: what a map holds must be frozen: write frozen<list<int>>"),
        ("vector<list<list<int>>, 2>", "bad-type: what a list holds must be frozen: write frozen<list<int>>"),
        ("set<duration>", "bad-type: a duration can't stand in a set: durations have no order"),
        ("map<duration, int>", "bad-type: a duration can't stand as the key of a map: durations have no order"),
        ("tuple<set<duration>>", "bad-type: a duration can't stand in a set: durations have no order"),
        ("list<counter>", "bad-type: a counter can't be in a list: it is a column of its own"),
        ("tuple<counter>", "bad-type: a counter can't be in a tuple: it is a column of its own"),
        ("vector<counter, 2>", "bad-type: a counter can't be in a vector: it is a column of its own"),
        ("vector<float, 0>", "bad-type: a vector of 0: its size must be 1 to 2147483647"),
        ("vector<float, -1>", "syntax: `-1` stands where the size of the vector was expected"),
        ("vector<float, 3000000000>", "bad-type: a vector of 3000000000: its size must be 1 to 2147483647"),
        ("vector<float>", "syntax: `>` stands where `,` was expected"),
        ("other.list<int>", "unknown-type: there is no type `list<…>`"),
        ("5", "syntax: `5` stands where a type was expected"),
        ("ttl", "unknown-type: there is no type `ttl`: use one of CQL's or declare it with CREATE TYPE"),
        ("list<" * 40 + "int" + ">" * 40, "bad-type: types can't stand more than 32 deep in each other"),
    ],
)
def test_a_wrong_type_is_told(text: str, message: str) -> None:
    assert error(f"CREATE TYPE u (a int); CREATE TABLE t (k int PRIMARY KEY, v {text})") == message


def test_a_type_of_another_keyspace_is_refused() -> None:
    text = "USE shop; CREATE TABLE t (k int PRIMARY KEY, v frozen<other.u>)"
    assert errors(text) == ["1:55: unsupported: keyspace `other` in the file of `shop`: a file holds one keyspace"]


# --- user-defined types ----------------------------------------------------------------------------------------------


def test_types_stand_after_those_that_they_are_made_of() -> None:
    made = read(
        "CREATE TYPE a (x list<frozen<b>>, y frozen<c>); CREATE TYPE b (z frozen<c>); CREATE TYPE c (n list<int>);"
        'CREATE TYPE "Odd type!" ("Odd field." int, static text)'
    )
    assert [each.name for each in made.types] == ["c", "b", "a", "Odd type!"]
    assert [(each.name, each.type) for each in made.types[2].fields] == [
        ("x", ir.List(ir.UserDefined("b"))),
        ("y", ir.Frozen(ir.UserDefined("c"))),
    ]
    assert [each.name for each in made.types[3].fields] == ["Odd field.", "static"]


def test_a_long_chain_of_types_is_refused() -> None:
    chain = [f"CREATE TYPE t{number} (f frozen<t{number + 1}>);" for number in range(3000)]
    found = errors("\n".join([*chain, "CREATE TYPE t3000 (f int)"]))
    assert found[0] == "32:18: bad-type: types can't stand more than 32 deep in each other"
    assert errors("\n".join(reversed([*chain, "CREATE TYPE t3000 (f int);"])))[0].endswith("deep in each other")


def test_a_type_that_was_refused_is_not_unknown_as_well() -> None:
    assert errors("CREATE TYPE u (a int) WITH x = 1; CREATE TABLE t (k int PRIMARY KEY, v u)") == [
        "1:23: syntax: `WITH` is not understood after `)`"
    ]


# --- tables ----------------------------------------------------------------------------------------------------------


def test_columns_have_their_kind_and_place() -> None:
    made = table(
        'a int, "B b" text, c timeuuid, s text STATIC, v int, PRIMARY KEY ((a, "B b"), c, d), d int',
        "WITH CLUSTERING ORDER BY (c DESC)",
    )
    assert (made.partition_key, made.clustering) == (("a", "B b"), ("c", "d"))
    assert [(each.name, each.kind, each.descending) for each in made.columns] == [
        ("a", "partition", False),
        ("B b", "partition", False),
        ("c", "clustering", True),
        ("s", "static", False),
        ("v", "regular", False),
        ("d", "clustering", False),
    ]
    assert str(made.column("B b").position) == "schema/cql/shop.cql:1:24"
    assert str(made.position) == "schema/cql/shop.cql:1:14"


def test_the_order_of_clustering_may_come_in_pieces() -> None:
    options = "WITH CLUSTERING ORDER BY (b DESC) AND comment = 'x' AND CLUSTERING ORDER BY (c ASC, d DESC)"
    made = table("a int, b int, c int, d int, PRIMARY KEY (a, b, c, d)", options)
    assert [each.descending for each in made.columns] == [False, True, False, True]


def test_names_are_lower_case_unless_they_are_quoted() -> None:
    made = read('CREATE COLUMNFAMILY IF NOT EXISTS Shop.Post (Key int PRIMARY KEY, "Key" int, "a""b" int, TTL int)')
    assert (made.name, made.tables[0].name) == ("shop", "post")
    assert [each.name for each in made.tables[0].columns] == ["key", "Key", 'a"b', "ttl"]


def test_words_that_are_not_reserved_name_columns() -> None:
    names = "a as between cast contains count counter date default distinct exists filtering frozen json key list"
    made = table(", ".join(f"{name} int" for name in names.split()) + ", PRIMARY KEY (key)")
    assert [each.name for each in made.columns] == names.split()


def test_a_comma_too_many_is_taken_as_cassandra_takes_it() -> None:
    assert [each.name for each in table("k int,, v int,, PRIMARY KEY (k),").columns] == ["k", "v"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("v int MASKED WITH DEFAULT", "unsupported: a mask of a column is not supported: leave it out"),
        ("v int CHECK v > 1", "unsupported: a CHECK of a column is not supported: leave it out"),
        ("v int DEFAULT 5", "syntax: `DEFAULT` is not understood after the column"),
        ("v int NOT NULL", "syntax: `NOT` is not understood after the column"),
        ("v", "syntax: a type is missing here"),
        ("select int", 'bad-name: `select` is a reserved word, so a column needs quotes for that name: "select"'),
        ('"" int', 'bad-name: `""` can\'t name a column: use 1 to 1000 characters'),
        ("_v int", "syntax: `_` stands where the name of a column was expected"),
        ("v int, v text", "duplicate-column: `t` has a column `v` already"),
        ("v int static", "bad-column: `v` can't be static, for `t` has no clustering column"),
        (
            "c counter, v int",
            "bad-column: `v` stands beside counter `c`: a table of counters has nothing else outside its key",
        ),
        ("k2 int PRIMARY KEY", "multiple-primary-keys: `t` has a primary key already: keep one"),
        ("l list<int>, PRIMARY KEY (l)", "multiple-primary-keys: `t` has a primary key already: keep one"),
        ('"a\tb" int', "bad-name: the name of a column holds a control character: leave it out"),
    ],
)
def test_a_wrong_column_is_told(text: str, message: str) -> None:
    assert error(f"CREATE TABLE t (k int PRIMARY KEY, {text})") == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("CREATE TABLE t (k int)", "1:14: bad-key: `t` has no primary key: write PRIMARY KEY (…)"),
        (
            "CREATE TABLE t (k int, PRIMARY KEY (k, x))",
            "1:40: unknown-column: `t` has no column `x`, which its key names",
        ),
        ("CREATE TABLE t (k int, PRIMARY KEY (k, k))", "1:40: bad-key: the primary key has column `k` twice: keep one"),
        (
            "CREATE TABLE t (k int, c int, PRIMARY KEY ((k, k), c))",
            "1:48: bad-key: the primary key has column `k` twice: keep one",
        ),
        (
            "CREATE TABLE t (k int, s int STATIC, PRIMARY KEY (k, s))",
            "1:30: bad-key: `s` is part of the primary key, so it can't be static",
        ),
        (
            "CREATE TABLE t (k list<int> PRIMARY KEY)",
            "1:17: bad-key: `k` is part of the primary key, so its type must be frozen: write frozen<…>",
        ),
        (
            "CREATE TYPE u (a int); CREATE TABLE t (k u PRIMARY KEY)",
            "1:40: bad-key: `k` is part of the primary key, so its type must be frozen: write frozen<…>",
        ),
        (
            "CREATE TABLE t (k duration PRIMARY KEY)",
            "1:17: bad-key: `k` holds a duration, which has no order, so it can't be part of the primary key",
        ),
        (
            "CREATE TABLE t (k tuple<int, duration> PRIMARY KEY)",
            "1:17: bad-key: `k` holds a duration, which has no order, so it can't be part of the primary key",
        ),
        (
            "CREATE TYPE u (a duration); CREATE TABLE t (k frozen<u> PRIMARY KEY)",
            "1:45: bad-key: `k` holds a duration, which has no order, so it can't be part of the primary key",
        ),
        (
            "CREATE TABLE t (k counter PRIMARY KEY)",
            "1:17: bad-key: `k` is a counter, which can't be part of the primary key",
        ),
        (
            "CREATE TABLE t (k int PRIMARY KEY, PRIMARY KEY (k))",
            "1:36: multiple-primary-keys: `t` has a primary key already: keep one",
        ),
        ("CREATE TABLE t (k int, PRIMARY KEY ())", "1:37: syntax: `)` stands where the name of a column was expected"),
        (
            "CREATE TABLE t (k int, PRIMARY KEY (()))",
            "1:38: syntax: `)` stands where the name of a column was expected",
        ),
        (
            "CREATE TABLE t (k int, c int, PRIMARY KEY ((k), (c)))",
            "1:49: syntax: `(` stands where the name of a column was expected",
        ),
        ("CREATE TABLE t ()", "1:17: syntax: a column is missing here"),
        ("CREATE TABLE t (,k int PRIMARY KEY)", "1:17: syntax: a column is missing here"),
        (
            "CREATE TABLE t (k int, c int, d int, PRIMARY KEY (k, c, d)) WITH CLUSTERING ORDER BY (d DESC)",
            "1:87: bad-key: CLUSTERING ORDER names `d` where `c` comes first: keep the key's order",
        ),
        (
            "CREATE TABLE t (k int, c int, PRIMARY KEY (k, c)) WITH CLUSTERING ORDER BY (k DESC)",
            "1:77: bad-key: CLUSTERING ORDER names `k`, which is no clustering column",
        ),
        (
            "CREATE TABLE t (k int, c int, PRIMARY KEY (k, c)) WITH CLUSTERING ORDER BY (c DESC, c ASC)",
            "1:85: bad-key: CLUSTERING ORDER names `c` twice: keep one",
        ),
        (
            "CREATE TABLE t (k int, c int, PRIMARY KEY (k, c)) WITH CLUSTERING ORDER BY (c)",
            "1:78: syntax: `)` stands where ASC or DESC was expected",
        ),
        (
            "CREATE TABLE t (k int PRIMARY KEY, c counter) WITH default_time_to_live = 5",
            "1:52: bad-option: counters don't expire: leave default_time_to_live out",
        ),
        (
            "CREATE TABLE t (k int PRIMARY KEY); CREATE TABLE t (k int PRIMARY KEY)",
            "1:50: duplicate-table: table `t` is declared already, at shop.cql:1:14",
        ),
        (
            'CREATE TABLE "a b" (k int PRIMARY KEY)',
            '1:14: bad-name: `"a b"` can\'t name a table: use 1 to 222 letters, digits and _, also in quotes',
        ),
        ("CREATE TABLE t LIKE u", "1:16: unsupported: a table made from another one: write its columns out"),
        ("CREATE TABLE t (k int PRIMARY KEY", "1:16: syntax: this `(` is never closed"),
        ("CREATE TABLE t (k int PRIMARY KEY) COMMENT 'x'", "1:36: syntax: `COMMENT` is not understood after `)`"),
        (
            "CREATE TYPE u (a list<int>); CREATE TABLE t (k int PRIMARY KEY, v u)",
            (
                "1:67: bad-type: `v` must be frozen, for field `a` of its type is a collection that is not: write "
                "frozen<u>"
            ),
        ),
    ],
)
def test_a_wrong_table_is_told(text: str, message: str) -> None:
    assert errors(text) == [message]


def test_names_of_tables_have_a_bound() -> None:
    assert read(f"CREATE TABLE {'a' * 222} (k int PRIMARY KEY)").tables[0].name == "a" * 222
    message = f"bad-name: `{'a' * 40}…` can't name a table: use 1 to 222 letters, digits and _, also in quotes"
    assert error(f"CREATE TABLE {'a' * 223} (k int PRIMARY KEY)") == message


def test_a_refused_column_does_not_take_the_rest_with_it() -> None:
    found = errors(
        """
        CREATE TABLE t (k nosuch<int>, c itn, v int, PRIMARY KEY (k, c)) WITH CLUSTERING ORDER BY (c DESC);
        CREATE INDEX ON t (k);
        CREATE MATERIALIZED VIEW w AS SELECT k FROM t WHERE k IS NOT NULL PRIMARY KEY (k);
        CREATE TABLE u (k int PRIMARY KEY) WITH x = 1;
        CREATE INDEX ON u (y)
        """
    )
    assert found == [
        "2:27: unknown-type: there is no type `nosuch<…>`",
        "2:42: unknown-type: there is no type `itn`: use one of CQL's or declare it with CREATE TYPE",
        "5:49: unknown-option: `x` is no option of a table in Cassandra 5: leave it out",
        "6:28: unknown-column: `u` has no column `y`, which an index names",
    ]


# --- options ---------------------------------------------------------------------------------------------------------


def test_options_have_one_spelling() -> None:
    made = table(
        "k int PRIMARY KEY",
        """WITH GC_GRACE_SECONDS = '5' AND bloom_filter_fp_chance = 1e-2 AND cdc = 'Yes' AND compression = {} AND
        compaction = {'class': 'LeveledCompactionStrategy', 'enabled': TRUE, 'sstable_size_in_mb': 160} AND
        speculative_retry = $$99p$$ AND comment = 'it''s' AND crc_check_chance = 1""",
    )
    assert made.options == (
        ("gc_grace_seconds", 5),
        ("bloom_filter_fp_chance", 0.01),
        ("cdc", True),
        ("compression", ()),
        ("compaction", (("class", "LeveledCompactionStrategy"), ("enabled", "true"), ("sstable_size_in_mb", "160"))),
        ("speculative_retry", "99p"),
        ("crc_check_chance", 1.0),
    )
    assert made.comment == "it's"
    assert isinstance(dict(made.options)["crc_check_chance"], float)


def test_what_changes_nothing_is_passed_over_with_a_note() -> None:
    diagnostics = Diagnostics()
    text = (
        "CREATE TABLE t (k int PRIMARY KEY) WITH ID = 5a1c395e-b41f-11e5-9f22-ba0be0483c18 AND read_repair_chance = 0"
    )
    made = parse_keyspace(text.encode(), "shop", "shop.cql", diagnostics)
    assert (made.tables[0].options, diagnostics.found) == ((), [])
    assert [str(note) for note in diagnostics.notes] == [
        "shop.cql:1:41: note: the ID of a table is passed over: the server chooses it",
        "shop.cql:1:87: note: option `read_repair_chance` is passed over: Cassandra 4 and later have it no more",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "COMPACT STORAGE",
            (
                "unsupported: COMPACT STORAGE is of tables made before CQL, which Cassandra 4 and later refuse: "
                "leave it out"
            ),
        ),
        ("nosuch = 1", "unknown-option: `nosuch` is no option of a table in Cassandra 5: leave it out"),
        (
            "gc_grace_seconds = 1 AND gc_grace_seconds = 2",
            "bad-option: option `gc_grace_seconds` is given twice: keep one",
        ),
        ("gc_grace_seconds = 'x'", "bad-option: option `gc_grace_seconds` must be a whole number, not `'x'`"),
        ("gc_grace_seconds = 5.5", "bad-option: option `gc_grace_seconds` must be a whole number, not `5.5`"),
        (
            "gc_grace_seconds = -1",
            "bad-option: option `gc_grace_seconds` must be within 0 and 2147483647, and -1 is not",
        ),
        ("gc_grace_seconds = {}", "bad-option: option `gc_grace_seconds` can't be a map"),
        ("gc_grace_seconds = 0x10", "bad-option: option `gc_grace_seconds` must be a whole number, not `0x10`"),
        (
            "bloom_filter_fp_chance = 0",
            "bad-option: option `bloom_filter_fp_chance` must be within 6.71e-05 and 1, and 0 is not",
        ),
        ("bloom_filter_fp_chance = NaN", "bad-option: option `bloom_filter_fp_chance` must be a number, not `NaN`"),
        ("crc_check_chance = 1e999", "bad-option: option `crc_check_chance` must be within 0 and 1, and 1e999 is not"),
        (
            "default_time_to_live = 630720001",
            "bad-option: option `default_time_to_live` must be within 0 and 630720000, and 630720001 is not",
        ),
        (
            "min_index_interval = 200 AND max_index_interval = 100",
            "bad-option: max_index_interval is 100, less than min_index_interval, which is 200",
        ),
        ("cdc = 'maybe'", "bad-option: option `cdc` is true or false, not `'maybe'`"),
        ("compaction = 'x'", "bad-option: option `compaction` must be a map: write {'name': 'value'}"),
        ("compaction = {'a': {'b': 'c'}}", "bad-option: `a` can't be a map within a map"),
        ("compaction = {'a': 1, 'a': 2}", "bad-option: `a` is given twice in a map: keep one"),
        ("compaction = {a: 1}", "syntax: `a` stands where a key of the map as a string was expected"),
        ("compaction = {'a': 1,}", "syntax: `}` stands where a key of the map as a string was expected"),
        ("comment = x", "syntax: `x` stands where the value of comment was expected"),
        ("comment =", "syntax: the value of comment is missing here"),
        ("", "syntax: the name of an option is missing here"),
        ("id = 5", "syntax: `5` stands where the table's id as a UUID was expected"),
    ],
)
def test_a_wrong_option_is_told(text: str, message: str) -> None:
    assert error(f"CREATE TABLE t (k int PRIMARY KEY) WITH {text}") == message


# --- comments --------------------------------------------------------------------------------------------------------

COMMENTED = """\
-- Everything that is sold.
CREATE KEYSPACE shop WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}; // and bought

-- not of the type

/* An address.
 * With a street. */
CREATE TYPE address (street text, -- where
  -- of the town
  town text /* or village */, zip text);

-- ---------------
-- Orders
-- of people
CREATE TABLE orders ( -- all of them
  id uuid PRIMARY KEY,
  -- the kind
  -- sun: enum=shop.v1.Kind
  kind int, -- of an order
  // old

  state int, other int, -- sun: renamed_from=status
  -- the end
  at timestamp
);
"""


def test_comments_belong_to_what_they_stand_at() -> None:
    made = read(COMMENTED)
    assert made.comment == "Everything that is sold."
    assert made.types[0].comment == "An address.\nWith a street."
    assert [each.comment for each in made.types[0].fields] == ["where", "of the town\nor village", ""]
    assert made.tables[0].comment == "Orders\nof people\nall of them"
    assert {each.name: each.comment for each in made.tables[0].columns if each.comment} == {
        "kind": "the kind\nof an order",
        "at": "the end",
    }


def test_the_option_goes_before_comments() -> None:
    assert read("-- one\nCREATE TABLE t (k int PRIMARY KEY) WITH comment = 'two'").tables[0].comment == "two"


def test_directives_say_what_cql_has_no_word_for() -> None:
    columns = read(COMMENTED).tables[0].columns
    assert [each.enum for each in columns] == [None, "shop.v1.Kind", None, None, None]
    assert [each.renamed_from for each in columns] == [None, None, None, "status", None]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "-- sun: enum=a.B\nCREATE TABLE t (k int PRIMARY KEY)",
            (
                "1:1: bad-directive: `enum` concerns a column, but no column follows: "
                "put it above the column or at its line's end"
            ),
        ),
        (
            "CREATE TABLE t (k int, PRIMARY KEY (k) -- sun: enum=a.B\n)",
            (
                "1:40: bad-directive: `enum` concerns a column, but a key stands here: "
                "put it above the column or at its line's end"
            ),
        ),
        (
            "CREATE TYPE u (a int -- sun: enum=a.B\n)",
            "1:22: bad-directive: enum=a.B is for columns: a field of a type holds numbers",
        ),
        (
            "CREATE TABLE t (k int PRIMARY KEY);\n-- sun: enum=a.B",
            (
                "2:1: bad-directive: `enum` concerns a column, but the file ends here: "
                "put it above the column or at its line's end"
            ),
        ),
        (
            "-- sun: cache ttl=5s\nCREATE TABLE t (k int PRIMARY KEY)",
            "1:1: bad-directive: `cache` is for tables of SQL: leave it out",
        ),
        (
            "CREATE TABLE t (k int PRIMARY KEY, -- sun: events insert\n v int)",
            "1:36: bad-directive: `events` is for tables of SQL: leave it out",
        ),
        (
            "CREATE TABLE t (k text PRIMARY KEY -- sun: enum=a.B\n)",
            "1:36: bad-directive: enum=a.B needs an integer column, and `k` is none",
        ),
        (
            "CREATE TABLE t (k int PRIMARY KEY -- sun: enum=a b\n)",
            "1:35: bad-directive: `b` is not understood: write enum=package.v1.Name or renamed_from=old_name",
        ),
        (
            "CREATE TABLE t (k int PRIMARY KEY, v int -- sun: renamed_from=k\n)",
            "1:36: bad-directive: `v` can't be renamed from `k`, which is another column's name",
        ),
        (
            "USE a;\n-- sun: nosuch",
            (
                "2:1: unknown-directive: `nosuch` is no directive: tables have cache and events, "
                "columns have enum and renamed_from"
            ),
        ),
    ],
)
def test_a_wrong_directive_is_told(text: str, message: str) -> None:
    assert errors(text) == [message]


# --- keyspaces and statements ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("CREATE TABLE t (k int PRIMARY KEY)", "shop"),
        ("USE other; CREATE TABLE t (k int PRIMARY KEY)", "other"),
        ('CREATE TABLE "Other".t (k int PRIMARY KEY)', "Other"),
        ("CREATE SCHEMA IF NOT EXISTS other WITH durable_writes = false AND REPLICATION = {'class': 'x'}", "other"),
        ("", "shop"),
    ],
)
def test_a_keyspace_is_named_in_its_file_or_by_it(text: str, name: str) -> None:
    assert read(text).name == name


def test_a_keyspace_keeps_how_it_is_replicated() -> None:
    made = read("CREATE KEYSPACE a WITH replication = {'class': 'NetworkTopologyStrategy', 'dc1': 3}")
    assert (made.replication, made.durable_writes) == ((("class", "NetworkTopologyStrategy"), ("dc1", "3")), True)
    assert not read("CREATE KEYSPACE a WITH replication = {'class': 'x'} AND durable_writes = false").durable_writes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("CREATE KEYSPACE a", "1:18: syntax: WITH is missing here"),
        (
            "CREATE KEYSPACE a WITH durable_writes = true",
            "1:19: bad-option: a keyspace needs replication: write WITH replication = {'class': …}",
        ),
        (
            "CREATE KEYSPACE a WITH replication = {}",
            "1:24: bad-option: replication needs a class: 'SimpleStrategy' or another",
        ),
        (
            "CREATE KEYSPACE a WITH replication = 5",
            "1:38: bad-option: option `replication` must be a map: write {'class': …}",
        ),
        (
            "CREATE KEYSPACE a WITH nosuch = 5",
            ("1:24: unknown-option: `nosuch` is no option of a keyspace: there are replication and durable_writes"),
        ),
        (
            "CREATE KEYSPACE a WITH replication = {'class': 'x'} AND replication = {'class': 'x'}",
            "1:57: bad-option: option `replication` is given twice: keep one",
        ),
        (
            "CREATE KEYSPACE system_auth WITH replication = {'class': 'x'}",
            "1:17: bad-name: keyspace `system_auth` is the server's own: give yours another name",
        ),
        (
            "CREATE KEYSPACE \"a b\" WITH replication = {'class': 'x'}",
            '1:17: bad-name: `"a b"` can\'t name a keyspace: use 1 to 48 letters, digits and _, also in quotes',
        ),
        (
            (
                "CREATE KEYSPACE a WITH replication = {'class': 'x'}; CREATE KEYSPACE a WITH replication = "
                "{'class': 'x'}"
            ),
            "1:70: duplicate-keyspace: keyspace `a` is declared already, at shop.cql:1:17",
        ),
        ("USE a; USE b", "1:12: unsupported: keyspace `b` in the file of `a`: a file holds one keyspace"),
        (
            "USE a; CREATE TABLE b.t (k int PRIMARY KEY)",
            "1:21: unsupported: keyspace `b` in the file of `a`: a file holds one keyspace",
        ),
        ("USE a b", "1:7: syntax: `b` is not understood after USE"),
        ("CREATE TYPE int (a int)", "1:13: bad-name: `int` is a type of CQL, so no other can have that name"),
        ('CREATE TYPE "list" (a int)', '1:13: bad-name: `"list"` is a type of CQL, so no other can have that name'),
        (
            "CREATE TYPE enum (a int)",
            '1:13: bad-name: `enum` is a word that can\'t name a type without quotes: write "enum"',
        ),
        ("CREATE TYPE u ()", "1:16: syntax: a field is missing here"),
        ("CREATE TYPE u (a int, a int)", "1:23: duplicate-field: type `u` has a field `a` already"),
        ("CREATE TYPE u (a counter)", "1:18: bad-type: a counter can't be in a type: it is a column of its own"),
        (
            "CREATE TYPE u (a nosuch)",
            "1:18: unknown-type: there is no type `nosuch`: use one of CQL's or declare it with CREATE TYPE",
        ),
        ("CREATE TYPE u (a u)", "1:18: bad-type: what a type holds must be frozen: write frozen<u>"),
        ("CREATE TYPE u (a frozen<u>)", "1:16: bad-type: type `u` is made of itself, through `a` of `u`"),
        (
            "CREATE TYPE u (a frozen<w>); CREATE TYPE w (b list<frozen<u>>)",
            "1:45: bad-type: type `u` is made of itself, through `b` of `w`",
        ),
        (
            "CREATE TYPE u (a int); CREATE TYPE u (a int)",
            "1:36: duplicate-type: type `u` is declared already, at shop.cql:1:13",
        ),
        (
            "CREATE TYPE u (a int); CREATE TYPE w (a u)",
            "1:41: bad-type: what a type holds must be frozen: write frozen<u>",
        ),
        ("CREATE TYPE u (a int) WITH x = 1", "1:23: syntax: `WITH` is not understood after `)`"),
        ("CREATE TYPE u (a int STATIC)", "1:22: syntax: `STATIC` is not understood after the field"),
        (
            "ALTER TABLE t ADD x int",
            ("1:1: unsupported: ALTER TABLE is not read: a file declares keyspaces, types, tables, indexes and views"),
        ),
        (
            "DROP TABLE t",
            ("1:1: unsupported: DROP TABLE is not read: a file declares keyspaces, types, tables, indexes and views"),
        ),
        (
            "INSERT INTO t (a) VALUES (1)",
            "1:1: unsupported: INSERT is not read: a file declares keyspaces, types, tables, indexes and views",
        ),
        (
            "CREATE FUNCTION f (a int) RETURNS NULL ON NULL INPUT RETURNS int LANGUAGE java AS $$ return a; $$",
            (
                "1:1: unsupported: CREATE FUNCTION is not read: a file declares keyspaces, types, tables, indexes "
                "and views"
            ),
        ),
        (
            "CREATE OR REPLACE AGGREGATE a (int) SFUNC f STYPE int",
            (
                "1:1: unsupported: CREATE OR REPLACE AGGREGATE is not read: a file declares keyspaces, types, "
                "tables, indexes and views"
            ),
        ),
        (
            "CREATE ROLE r",
            ("1:1: unsupported: CREATE ROLE is not read: a file declares keyspaces, types, tables, indexes and views"),
        ),
        (
            "CREATE TRIGGER x ON t USING 'y'",
            (
                "1:1: unsupported: CREATE TRIGGER is not read: a file declares keyspaces, types, tables, indexes "
                "and views"
            ),
        ),
        (
            "CONSISTENCY QUORUM",
            ("1:1: unsupported: CONSISTENCY is not read: a file declares keyspaces, types, tables, indexes and views"),
        ),
        ("5", "1:1: syntax: `5` stands where a statement was expected"),
        ("'open", "1:1: syntax: this string is never closed"),
        ('"open', "1:1: syntax: this name is never closed"),
        ("/* open", "1:1: syntax: this comment is never closed"),
        ("$$ open", "1:1: syntax: this string is never closed"),
        ("CREATE TABLE t (k int PRIMARY KEY) é", "1:36: syntax: `é` is not understood after `)`"),
        ("CREATE", "1:1: unsupported: CREATE is not read: a file declares keyspaces, types, tables, indexes and views"),
    ],
)
def test_a_wrong_statement_is_told(text: str, message: str) -> None:
    assert errors(text) == [message]


def test_names_of_keyspaces_have_a_bound() -> None:
    assert read(f"USE {'a' * 48}").name == "a" * 48
    message = f"bad-name: `{'a' * 40}…` can't name a keyspace: use 1 to 48 letters, digits and _, also in quotes"
    assert error(f"USE {'a' * 49}") == message


def test_bytes_that_are_no_text_are_told() -> None:
    message = "2:3: bad-encoding: byte 0xff is not UTF-8: save the file as UTF-8"
    assert errors(b"\xef\xbb\xbfUSE a;\n--\xff") == [message]


def test_every_error_of_a_file_is_told() -> None:
    found = errors("DROP TABLE a;\nCREATE TABLE t (k itn PRIMARY KEY);\nUSE a; USE b;\nCREATE INDEX ON x (y);\n'")
    places = ["1:1", "2:19", "3:12", "4:17", "5:1"]
    assert [each.split(": ")[0] for each in found] == places


def test_a_folder_has_a_keyspace_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.cql").write_text("CREATE TABLE t (k int PRIMARY KEY)")
    (tmp_path / "b.cql").write_text("USE a;")
    (tmp_path / "c.cql").write_text("USE c;")
    (tmp_path / "2.cql").write_text("CREATE TABLE t (k int PRIMARY KEY)")
    (tmp_path / "system_x.cql").write_text("")
    (tmp_path / ".hidden.cql").write_text("'")
    (tmp_path / "folder.cql").mkdir()
    diagnostics = Diagnostics()
    made = parse_keyspaces(tmp_path, "schema/cql", diagnostics)
    assert [each.name for each in made] == ["2", "a", "a", "c", "system_x"]
    wrong = (
        "can't name a keyspace: use up to 48 lower-case letters, digits and _, and no Python keyword, "
        "or name the keyspace in the file"
    )
    twice = "keyspace `a` is declared in schema/cql/a.cql already: a keyspace is one file"
    assert [str(each) for each in diagnostics.found] == [
        f"schema/cql/2.cql:1:1: bad-name: `2` {wrong}",
        f"schema/cql/b.cql:1:1: duplicate-keyspace: {twice}",
        f"schema/cql/system_x.cql:1:1: bad-name: `system_x` {wrong}",
    ]
    assert parse_keyspaces(tmp_path / "none", "schema/cql", Diagnostics()) == ()


def test_keyspaces_are_part_of_what_is_loaded_and_of_what_it_follows_from(tmp_path: Path) -> None:
    file = tmp_path / "schema/cql/shop.cql"
    file.parent.mkdir(parents=True)
    file.write_text("CREATE TABLE t (k int PRIMARY KEY)")
    (source,) = pipeline.sources(tmp_path)
    (made,) = pipeline.load(source).keyspaces
    assert (made.name, made.file, [each.name for each in made.tables]) == ("shop", "schema/cql/shop.cql", ["t"])
    before = source.inputs()
    file.write_text("CREATE TABLE t (k itn PRIMARY KEY)")
    assert source.inputs() != before
    with pytest.raises(SchemaError, match=re.escape("schema/cql/shop.cql:1:19: unknown-type: there is no type `itn`")):
        pipeline.load(source)


# --- indexes ---------------------------------------------------------------------------------------------------------

_BASE = "CREATE TABLE b (p int, c int, s int STATIC, v int, w text, l list<int>, PRIMARY KEY (p, c));\n"


def test_an_index_without_a_name_is_named_as_cassandra_names_it() -> None:
    made = read(
        """
        CREATE TABLE t (p int, q int, "A b" int, "é" int, v int, w int, ab int, PRIMARY KEY ((p, q)));
        CREATE TABLE o (k int PRIMARY KEY, v int);
        CREATE INDEX ON t ("A b"); CREATE INDEX ON t ("é"); CREATE INDEX t_v_idx ON o (v); CREATE INDEX ON t (v);
        CREATE INDEX IF NOT EXISTS ON shop.t (p); CREATE INDEX "Mine" ON t (w);
        """
    )
    names = [each.name for each in made.tables[0].indexes]
    assert names == ["t_Ab_idx", "t__idx", "t_v_idx_1", "t_p_idx", "Mine"]
    assert [each.name for each in made.tables[1].indexes] == ["t_v_idx"]


def test_an_index_says_what_it_holds() -> None:
    made = read(
        """
        CREATE TABLE t (
          k int, c int, l list<int>, s set<int>, m map<text, int>, f frozen<list<int>>, PRIMARY KEY (k, c)
        );
        CREATE INDEX ON t (c); CREATE INDEX ON t (l); CREATE INDEX ON t (values(s)); CREATE INDEX ON t (m);
        CREATE INDEX ON t (keys(m)); CREATE INDEX ON t (entries(m)); CREATE INDEX ON t (full(f));
        """
    )
    found = [(each.column, each.target) for each in made.tables[0].indexes]
    maps = [("m", "values"), ("m", "keys"), ("m", "entries")]
    assert found == [("c", ""), ("l", "values"), ("s", "values"), *maps, ("f", "full")]


@pytest.mark.parametrize(
    "kind", ["'sai'", "'SAI'", "'StorageAttachedIndex'", "'org.apache.cassandra.index.sai.StorageAttachedIndex'"]
)
def test_a_storage_attached_index_has_one_spelling(kind: str) -> None:
    text = f"{_BASE} CREATE CUSTOM INDEX ON b (w) USING {kind} WITH OPTIONS = {{'case_sensitive': false}}"
    (index,) = read(text).tables[0].indexes
    assert (index.custom, index.is_sai, index.options) == ("sai", True, (("case_sensitive", "false"),))
    assert read(f"{_BASE} CREATE INDEX ON b (w) USING {kind}").tables[0].indexes[0].is_sai


def test_the_built_in_kind_of_index_may_be_said() -> None:
    (index,) = read(f"{_BASE} CREATE INDEX ON b (w) USING 'legacy_local_table'").tables[0].indexes
    assert (index.custom, index.is_sai) == (None, False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("INDEX ON b (x)", "unknown-column: `b` has no column `x`, which an index names"),
        ("INDEX ON x (v)", "unknown-table: the file declares no table `x`"),
        ("INDEX ON b (p)", "bad-index: `p` is the whole partition key of `b`: rows are found by it without an index"),
        (
            "INDEX i ON b (v); CREATE INDEX i ON b (w)",
            "duplicate-index: index `i` is declared already, at shop.cql:2:8",
        ),
        ("INDEX i ON b (v); CREATE INDEX ON b (v)", "duplicate-index: index `i` of `b` holds `v` already: keep one"),
        ("INDEX ON b (v, w)", "unsupported: an index of several columns: make one for each column"),
        ("INDEX ON b ()", "syntax: `)` stands where the name of a column was expected"),
        ("INDEX ON b (keys(l))", "bad-index: keys(l) can't be in an index: write values(l)"),
        ("INDEX ON b (full(l))", "bad-index: full(l) can't be in an index: write values(l)"),
        ("INDEX ON b (values(v))", "bad-index: `v` is no collection, so its index takes the column alone"),
        (
            "INDEX ON b (other(v))",
            "syntax: `other` stands where a column, or keys, values, entries or full of one was expected",
        ),
        (
            'INDEX "a b" ON b (v)',
            'bad-name: `"a b"` can\'t name an index: use 1 to 222 letters, digits and _, also in quotes',
        ),
        ("INDEX ON b (v) USING 'x'", "unsupported: an index of 'x': Sun knows 'sai' and the built-in kind"),
        ("CUSTOM INDEX ON b (v)", "syntax: USING and the kind of the index is missing here"),
        (
            "CUSTOM INDEX ON b (v) USING 'org.apache.cassandra.index.sasi.SASIIndex'",
            (
                "unsupported: an index of 'org.apache.cassandra.index.sasi.SASIInd…: Sun knows 'sai' and the "
                "built-in kind"
            ),
        ),
        (
            "CUSTOM INDEX ON b (v) USING 'sai' WITH OPTIONS = {'x': 'y'}",
            "unknown-option: `x` is no option of an index of 'sai'",
        ),
        (
            "CUSTOM INDEX ON b (v) USING 'sai' WITH x = {}",
            "unknown-option: `x` is no option of an index: there is OPTIONS",
        ),
        (
            "CUSTOM INDEX ON b (c) USING 'sai' WITH OPTIONS = {'ascii': true}",
            "bad-option: `ascii` is for an index of text outside the primary key, and `c` is none",
        ),
        (
            "INDEX ON b (v) WITH OPTIONS = {'ascii': true}",
            "bad-option: only an index of USING 'sai' has options: leave them out",
        ),
        ("INDEX ks.i ON b (v)", "syntax: `.` stands where ON was expected"),
        (
            "CUSTOM INDEX ON b (w) USING 'sai' WITH OPTIONS = {'ascii': 'x'}",
            "bad-option: `ascii` is true or false, not `x`",
        ),
        (
            "CUSTOM INDEX ON b (w) USING 'sai' WITH OPTIONS = {'similarity_function': 'cosine'}",
            "bad-option: `similarity_function` is for an index of a vector, and `w` is none",
        ),
        (
            "CUSTOM INDEX ON b (v) USING 'sai' WITH OPTIONS = {'ascii': 'true'}",
            "bad-option: `ascii` is for an index of text outside the primary key, and `v` is none",
        ),
    ],
)
def test_a_wrong_index_is_told(text: str, message: str) -> None:
    assert error(f"{_BASE}CREATE {text}") == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "CREATE TABLE c (k int PRIMARY KEY, n counter); CREATE INDEX ON c (n)",
            "1:67: bad-index: `c` holds counters, and a table of counters can't have an index",
        ),
        (
            "CREATE TABLE c (k int PRIMARY KEY, n duration); CREATE INDEX ON c (n)",
            "1:68: bad-index: `n` holds a duration, which has no order to keep in an index",
        ),
        (
            "CREATE TABLE c (k int PRIMARY KEY, n frozen<list<int>>); CREATE INDEX ON c (n)",
            "1:77: bad-index: `n` is frozen, so its index holds all of it: write full(n)",
        ),
        (
            "CREATE TYPE u (a int); CREATE TABLE c (k int PRIMARY KEY, n u); CREATE INDEX ON c (n)",
            "1:84: bad-index: `n` is no frozen type, and an index holds values as a whole",
        ),
        (
            "CREATE TABLE c (k int PRIMARY KEY, n blob); CREATE CUSTOM INDEX ON c (n) USING 'sai'",
            "1:71: bad-index: `n` holds a blob, of which 'sai' makes no index",
        ),
        (
            "CREATE TABLE c (k int PRIMARY KEY, n vector<int, 2>); CREATE CUSTOM INDEX ON c (n) USING 'sai'",
            "1:81: bad-index: `n` is no vector of float, the only one of which 'sai' makes an index",
        ),
        (
            "CREATE TABLE c (k int PRIMARY KEY, n vector<float, 1>); CREATE CUSTOM INDEX ON c (n) USING 'sai'",
            (
                "1:83: bad-option: vectors of one number have no cosine: write OPTIONS = {'similarity_function': "
                "'euclidean'}"
            ),
        ),
        (
            (
                "CREATE TABLE c (k int PRIMARY KEY, n vector<float, 2>); CREATE CUSTOM INDEX ON c (n) USING 'sai' "
                "WITH OPTIONS = {'similarity_function': 'x'}"
            ),
            "1:83: bad-option: `x` is no similarity: there are cosine, dot_product, euclidean",
        ),
    ],
)
def test_an_index_on_a_wrong_type_is_told(text: str, message: str) -> None:
    assert errors(text) == [message]


def test_a_name_that_grows_too_long_is_asked_for() -> None:
    name = "n" * 222
    message = f"bad-name: the index would be called `t_{'n' * 38}…`, which is too long: give it a name"
    assert error(f"CREATE TABLE t (k int PRIMARY KEY, {name} int); CREATE INDEX ON t ({name})") == message


# --- views -----------------------------------------------------------------------------------------------------------

_NOT_NULL = "WHERE p IS NOT NULL AND c IS NOT NULL AND v IS NOT NULL "


def view(text: str) -> ir.CqlView:
    return read(f"{_BASE} CREATE MATERIALIZED VIEW IF NOT EXISTS w AS {text}").views[0]


def test_a_view_has_the_columns_of_its_base_in_its_own_places() -> None:
    made = view(f"SELECT p, v, c, l FROM shop.b {_NOT_NULL} PRIMARY KEY ((v), p, c) WITH comment = 'x' AND cdc = false")
    assert (made.name, made.base, made.partition_key, made.clustering) == ("w", "b", ("v",), ("p", "c"))
    assert [(each.name, each.kind) for each in made.columns] == [
        ("p", "clustering"),
        ("v", "partition"),
        ("c", "clustering"),
        ("l", "regular"),
    ]
    assert (made.not_null, made.filters, made.selects_all) == (("p", "c", "v"), (), False)
    assert (made.options, made.comment) == ((("cdc", False),), "x")
    assert made.columns[3].type == ir.List(ir.Int(32))


def test_a_view_keeps_its_conditions() -> None:
    made = view(
        "SELECT p, c, w FROM b WHERE p = 0XFF AND c >= -1 AND c IN (1, 2) AND p = $$its$$ AND p < 'z' "
        "AND p IS NOT NULL AND w IS NOT NULL PRIMARY KEY (w, c, p)"
    )
    assert made.filters == (
        ("p", "=", "0xff"),
        ("c", ">=", "-1"),
        ("c", "IN", "(1, 2)"),
        ("p", "=", "'its'"),
        ("p", "<", "'z'"),
    )
    assert made.not_null == ("p", "w")


def test_a_view_without_an_order_has_that_of_its_base() -> None:
    base = "CREATE TABLE t (k int, c int, d int, PRIMARY KEY (k, c, d)) WITH CLUSTERING ORDER BY (c DESC, d ASC);"
    text = f"{base} CREATE MATERIALIZED VIEW w AS SELECT * FROM t WHERE k > 0 AND c > 0 AND d > 0"
    (made,) = read(f"{text} PRIMARY KEY (d, c, k)").views
    assert (made.selects_all, [each.descending for each in made.columns]) == (True, [False, True, False])
    (made,) = read(f"{text} PRIMARY KEY (d, c, k) WITH CLUSTERING ORDER BY (c ASC, k DESC)").views
    assert [each.descending for each in made.columns] == [True, False, False]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELECT * FROM x {N}PRIMARY KEY (v, p, c)", "unknown-table: the file declares no table `x`"),
        (
            "SELECT * FROM b {N}PRIMARY KEY (v, p, c)",
            "bad-view: `s` of `b` is static, which no view holds: select the others by name",
        ),
        (
            "SELECT p, c, v, s FROM b {N}PRIMARY KEY (v, p, c)",
            "bad-view: `s` of `b` is static, which no view holds: select the others by name",
        ),
        ("SELECT p, c, x FROM b {N}PRIMARY KEY (c, p)", "unknown-column: `b` has no column `x`, which view `w` names"),
        ("SELECT p, c, c FROM b {N}PRIMARY KEY (c, p)", "duplicate-column: view `w` selects `c` twice"),
        ("SELECT p, c FROM b {N}PRIMARY KEY (v, c, p)", "bad-view: view `w` has `v` in its key, so it must select it"),
        (
            "SELECT p, c, v FROM b {N}PRIMARY KEY (v, p)",
            "bad-view: `c` of the key of `b` must be in the key of view `w` too",
        ),
        (
            "SELECT p, c, v, w FROM b {N}PRIMARY KEY ((v, w), p, c)",
            "bad-view: view `w` adds `v` and `w` to the key of its base: one is the most",
        ),
        (
            "SELECT p, c, v FROM b {N}PRIMARY KEY (v, p, c, p)",
            "bad-key: the primary key has column `p` twice: keep one",
        ),
        (
            "SELECT p, c, v FROM b {N}PRIMARY KEY (x, p, c)",
            "unknown-column: `b` has no column `x`, which view `w` names",
        ),
        (
            "SELECT p, c, l FROM b {N}PRIMARY KEY (l, p, c)",
            "bad-key: `l` is part of the view's key, so its type must be frozen",
        ),
        (
            "SELECT p, c, v FROM b WHERE p IS NOT NULL AND c IS NOT NULL PRIMARY KEY (v, p, c)",
            "bad-view: view `w` has `v` in its key: write v IS NOT NULL",
        ),
        (
            "SELECT p, c, v FROM b WHERE p IS NOT NULL AND c IS NOT NULL AND v = 1 PRIMARY KEY (c, p)",
            "bad-view: `v` is not in the key of `b`, so it can only be IS NOT NULL",
        ),
        (
            "SELECT p, c, v FROM b {N}AND v = 1 PRIMARY KEY (v, c, p)",
            "bad-view: `v` is not in the key of `b`, so it can only be IS NOT NULL",
        ),
        (
            "SELECT p, c FROM b {N}AND p IN ('a', 'it''s') PRIMARY KEY (c, p)",
            "bad-view: 'it''s' in a view: Cassandra keeps the quote unescaped: use a text without one",
        ),
        (
            "SELECT p, c FROM b {N}AND p = $$it's$$ PRIMARY KEY (c, p)",
            "bad-view: $$it's$$ in a view: Cassandra keeps the quote unescaped: use a text without one",
        ),
        (
            "SELECT p, c, v FROM b {N}AND x = 1 PRIMARY KEY (c, p)",
            "unknown-column: `b` has no column `x`, which view `w` names",
        ),
        (
            "SELECT p AS q FROM b {N}PRIMARY KEY (c, p)",
            "bad-view: a view selects columns by their names, without AS and functions",
        ),
        (
            "SELECT count(*) FROM b {N}PRIMARY KEY (c, p)",
            "bad-view: a view selects columns by their names, without AS and functions",
        ),
        (
            "SELECT p, c FROM b WHERE token(p) > 5 PRIMARY KEY (c, p)",
            "unsupported: a condition on several columns: write one for each column",
        ),
        (
            "SELECT p, c FROM b WHERE (p, c) = (1, 2) PRIMARY KEY (c, p)",
            "unsupported: a condition on several columns: write one for each column",
        ),
        (
            "SELECT p, c FROM b WHERE p != 1 PRIMARY KEY (c, p)",
            "syntax: `!` stands where IS NOT NULL, IN or one of = < > <= >= was expected",
        ),
        (
            "SELECT p, c FROM b WHERE p CONTAINS 1 PRIMARY KEY (c, p)",
            "syntax: `CONTAINS` stands where IS NOT NULL, IN or one of = < > <= >= was expected",
        ),
        ("SELECT p, c FROM b PRIMARY KEY (c, p)", "syntax: `PRIMARY` stands where WHERE was expected"),
        ("SELECT p, c FROM b {N}", "syntax: PRIMARY KEY is missing here"),
        (
            "SELECT p, c, v FROM b {N}PRIMARY KEY (v, p, c) WITH CLUSTERING ORDER BY (p DESC)",
            "bad-key: CLUSTERING ORDER of a view names all its clustering columns: add `c`",
        ),
        (
            "SELECT p, c, v FROM b {N}PRIMARY KEY (v, p, c) WITH CLUSTERING ORDER BY (c DESC, p ASC)",
            "bad-key: CLUSTERING ORDER names `c` where `p` comes first: keep the key's order",
        ),
        (
            "SELECT p, c FROM b {N}PRIMARY KEY (c, p) WITH default_time_to_live = 5",
            "bad-option: rows of a view expire with those of its base: leave default_time_to_live out",
        ),
    ],
)
def test_a_wrong_view_is_told(text: str, message: str) -> None:
    text = text.replace("{N}", _NOT_NULL)
    assert error(f"{_BASE}CREATE MATERIALIZED VIEW w AS {text}") == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            (
                "CREATE TABLE n (k int PRIMARY KEY, v counter); CREATE MATERIALIZED VIEW w AS SELECT k FROM n "
                "WHERE k IS NOT NULL PRIMARY KEY (k)"
            ),
            "1:92: bad-view: `n` holds counters, and a table of counters can't have a view",
        ),
        (
            (
                "CREATE TABLE n (k int PRIMARY KEY, v int) WITH gc_grace_seconds = 0; CREATE MATERIALIZED VIEW w "
                "AS SELECT k FROM n WHERE k IS NOT NULL PRIMARY KEY (k)"
            ),
            "1:114: bad-view: `n` has gc_grace_seconds = 0, with which a view loses updates: raise it",
        ),
        (
            (
                "CREATE TABLE n (k int PRIMARY KEY, v duration); CREATE MATERIALIZED VIEW w AS SELECT k, v FROM n "
                "WHERE k IS NOT NULL AND v IS NOT NULL PRIMARY KEY (v, k)"
            ),
            "1:149: bad-key: `v` holds a duration, which has no order, so it can't be part of the view's key",
        ),
        (
            (
                "CREATE TABLE n (k int PRIMARY KEY); CREATE MATERIALIZED VIEW n AS SELECT k FROM n WHERE k IS NOT "
                "NULL PRIMARY KEY (k)"
            ),
            "1:62: duplicate-table: view `n` is declared already, at shop.cql:1:14",
        ),
    ],
)
def test_a_view_of_a_wrong_table_is_told(text: str, message: str) -> None:
    assert errors(text) == [message]


def test_a_view_is_no_table() -> None:
    assert errors(
        """CREATE TABLE n (k int PRIMARY KEY);
        CREATE MATERIALIZED VIEW w AS SELECT k FROM n WHERE k IS NOT NULL PRIMARY KEY (k);
        CREATE MATERIALIZED VIEW z AS SELECT k FROM w WHERE k IS NOT NULL PRIMARY KEY (k); CREATE INDEX ON w (k)"""
    ) == [
        "3:53: bad-view: `w` is a view: a view is made of a table",
        "3:108: bad-index: `w` is a view, which can't have an index",
    ]


# --- mutated schemas -------------------------------------------------------------------------------------------------

SCHEMA = (
    COMMENTED
    + """
USE shop;
CREATE TYPE IF NOT EXISTS shop."Pt" (x frozen<map<text, frozen<address>>>, y list<int>, z tuple<int, "Pt2">);
CREATE TYPE "Pt2" (v vector<float, 3>);
CREATE TABLE shop.posts (
  room uuid, bucket int, at timeuuid, s text STATIC, "Odd ""n" frozen<"Pt">, m map<int, frozen<list<duration>>>,
  u address, w text, l list<blob>, f frozen<set<inet>>, k smallint, -- sun: enum=shop.v1.Kind
  PRIMARY KEY ((room, bucket), at, k)
) WITH CLUSTERING ORDER BY (at DESC, k ASC) AND compaction = {'class': 'x', 'enabled': true} AND cdc = false
  AND comment = 'it''s' AND gc_grace_seconds = 5 AND speculative_retry = $$99p$$
  AND ID = 5a1c395e-b41f-11e5-9f22-ba0be0483c18;
CREATE TABLE hits (k text PRIMARY KEY, n counter);
CREATE INDEX ON posts (w); CREATE INDEX ON posts (l); CREATE INDEX i ON posts (keys(m));
CREATE INDEX ON posts (full(f));
CREATE CUSTOM INDEX ON posts (w) USING 'StorageAttachedIndex' WITH OPTIONS = {'case_sensitive': 'false'};
CREATE MATERIALIZED VIEW by_w AS SELECT room, bucket, at, k, w FROM posts
  WHERE w IS NOT NULL AND room IS NOT NULL AND bucket > 5 AND k IN (1, 2) AND at IS NOT NULL
  PRIMARY KEY ((w), room, bucket, at, k) WITH CLUSTERING ORDER BY (room ASC, bucket DESC, at ASC, k ASC);
"""
)
_PIECES = re.findall(r"\s+|\w+|.", SCHEMA)
_JUNK = [*"'\"(){}<>,;.\0é", "$$", "--", "-- sun: ", "/*", "*/", "0x", "9" * 20]


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """The schema with some of its pieces dropped, doubled, swapped or replaced."""
    pieces = list(_PIECES)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(pieces) - 1))
        other = draw(st.one_of(st.sampled_from(_PIECES), st.sampled_from(_JUNK), st.text(max_size=4)))
        pieces[at : at + draw(st.integers(0, 3))] = [other] * draw(st.integers(0, 2))
        if not pieces:
            break
    return "".join(pieces)


@drawn(200)
@given(mutated())
def test_a_mutated_schema_is_read_or_refused_and_nothing_else(text: str) -> None:
    diagnostics = Diagnostics()
    made = parse_keyspace(text.encode(errors="surrogatepass"), "shop", "shop.cql", diagnostics)
    lines = text.count("\n") + 1
    assert all(1 <= found.position.line <= lines for found in diagnostics.found)
    printed = ";\n".join(cql_ddl.statements(made))
    if not diagnostics.found:
        again = Diagnostics()
        parse_keyspace(printed.encode(), "shop", "shop.cql", again)
        assert again.found == []


@drawn(200)
@given(st.binary(max_size=60))
def test_mutated_to_any_bytes_a_file_is_read_or_refused(data: bytes) -> None:
    diagnostics = Diagnostics()
    parse_keyspace(data, "shop", "shop.cql", diagnostics)
    assert all(found.position.line >= 1 for found in diagnostics.found)
