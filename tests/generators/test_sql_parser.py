"""MySQL DDL read into the IR, and what is refused of it, word for word."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generators import ir, sql_walker
from generators.artifacts import Target
from generators.diagnostics import Diagnostics, SchemaError
from generators.sql_ddl import DIALECTS, check, ddl
from generators.sql_parser import parse_database, parse_databases
from tests.examples import drawn


def read(text: str) -> ir.Database:
    """The database of a sound schema."""
    diagnostics = Diagnostics()
    database = parse_database(text.encode(), "shop", "schema/sql/shop.sql", diagnostics)
    diagnostics.raise_if_any()
    return database


def table(body: str, options: str = "") -> ir.Table:
    return read(f"CREATE TABLE t ({body}) {options}").tables[0]


def column(declaration: str) -> ir.Column:
    return table(declaration).columns[0]


def errors(text: str) -> list[str]:
    """Every error without its file: `line:column: code: message`."""
    diagnostics = Diagnostics()
    parse_database(text.encode(), "shop", "shop.sql", diagnostics)
    return [str(found).removeprefix("shop.sql:") for found in SchemaError(diagnostics.found).diagnostics]


def error(declaration: str) -> str:
    """The one error of a table `t` of this body, without its place."""
    (found,) = errors(f"CREATE TABLE t ({declaration})")
    return found.split(": ", 1)[1]


# --- types -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("TINYINT(1)", ir.Bool()),
        ("BOOL", ir.Bool()),
        ("boolean", ir.Bool()),
        ("TINYINT", ir.Int(8)),
        ("TINYINT(4)", ir.Int(8)),
        ("TINYINT(1) UNSIGNED", ir.Int(8, signed=False)),
        ("SMALLINT", ir.Int(16)),
        ("MEDIUMINT UNSIGNED", ir.Int(24, signed=False)),
        ("INT", ir.Int(32)),
        ("INTEGER(11)", ir.Int(32)),
        ("INT(10) ZEROFILL", ir.Int(32, signed=False)),
        ("INT ZEROFILL UNSIGNED", ir.Int(32, signed=False)),
        ("INT SIGNED", ir.Int(32)),
        ("BIGINT(20) UNSIGNED", ir.Int(64, signed=False)),
        ("INT8", ir.Int(64)),
        ("INT2", ir.Int(16)),
        ("FLOAT", ir.Float(32)),
        ("FLOAT(24)", ir.Float(32)),
        ("FLOAT(25)", ir.Float(64)),
        ("DOUBLE PRECISION", ir.Float(64)),
        ("REAL", ir.Float(64)),
        ("DECIMAL", ir.Decimal(10, 0)),
        ("NUMERIC(12,4)", ir.Decimal(12, 4)),
        ("DEC(5)", ir.Decimal(5, 0)),
        ("CHAR", ir.Text(1, fixed=True)),
        ("CHAR(3)", ir.Text(3, fixed=True)),
        ("VARCHAR(20)", ir.Text(20)),
        ("CHARACTER VARYING(20)", ir.Text(20)),
        ("NATIONAL VARCHAR(20)", ir.Text(20)),
        ("VARCHAR(20) CHARACTER SET utf8 COLLATE utf8_general_ci", ir.Text(20, collation="utf8mb4_general_ci")),
        ("VARCHAR(20) COLLATE utf8mb4_0900_ai_ci", ir.Text(20, collation="utf8mb4_unicode_520_ci")),
        ("VARCHAR(20) CHARSET latin1 COLLATE latin1_swedish_ci", ir.Text(20, collation="utf8mb4_general_ci")),
        ("VARCHAR(20) CHARACTER SET binary", ir.Bytes(20)),
        ("TINYTEXT", ir.Text(max_bytes=255)),
        ("TEXT", ir.Text(max_bytes=65_535)),
        ("TEXT(70)", ir.Text(max_bytes=65_535)),
        ("TEXT(20)", ir.Text(max_bytes=255)),
        ("MEDIUMTEXT", ir.Text(max_bytes=16_777_215)),
        ("LONGTEXT", ir.Text(max_bytes=4_294_967_295)),
        ("LONGTEXT COLLATE utf8mb4_bin CHECK (json_valid(`c`))", ir.Json()),
        ("BINARY(16)", ir.Bytes(16, fixed=True)),
        ("VARBINARY(255)", ir.Bytes(255)),
        ("TINYBLOB", ir.Bytes(255, blob=True)),
        ("BLOB", ir.Bytes(65_535, blob=True)),
        ("LONGBLOB", ir.Bytes(4_294_967_295, blob=True)),
        ("DATE", ir.Date()),
        ("TIME", ir.Time()),
        ("TIME(6)", ir.Time(6)),
        ("DATETIME(3)", ir.DateTime(3)),
        ("TIMESTAMP", ir.DateTime(instant=True)),
        ("TIMESTAMP(6) NULL", ir.DateTime(6, instant=True)),
        ("YEAR", ir.Year()),
        ("YEAR(4)", ir.Year()),
        ("JSON", ir.Json()),
        ("BIT", ir.Bits(1)),
        ("BIT(12)", ir.Bits(12)),
        ("ENUM('a', \"b\", 'it''s, \\'c\\'')", ir.Choice(("a", "b", "it's, 'c'"))),
        ("SET('x','y')", ir.Choices(("x", "y"))),
    ],
)
def test_each_type_has_its_place_in_the_ir(text: str, expected: ir.Type) -> None:
    assert column(f"c {text}").type == expected


def test_serial_is_a_counted_unique_unsigned_bigint() -> None:
    made = table("id SERIAL")
    assert made.columns[0].type == ir.Int(64, signed=False)
    assert (made.columns[0].auto_increment, made.columns[0].nullable) == (True, False)
    assert [(key.name, key.unique) for key in made.keys] == [("id", True)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("POINT", "POINT is a spatial type, which has no form in Python here: store two DOUBLE columns or a VARBINARY"),
        ("uuid", "there is no type `uuid`: use one of MySQL's numeric, string, date, JSON, BIT, ENUM or SET types"),
    ],
)
def test_an_unknown_type_is_named(text: str, message: str) -> None:
    assert error(f"c {text} NOT NULL") == f"unknown-type: {message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("VARCHAR", "VARCHAR needs a length: write VARCHAR(255)"),
        ("VARCHAR(70000)", "VARCHAR(70000): 70000 is more than the 16383 that VARCHAR allows"),
        ("INT(1,2)", "INT(1,2): INT takes at most 1 number in parentheses"),
        ("JSON(1)", "JSON(1): JSON takes nothing in parentheses"),
        ("DECIMAL(2,3)", "DECIMAL(2,3): the precision must be positive and no less than the scale"),
        ("FLOAT(7,3)", "FLOAT(7,3) rounds on some engines only: write FLOAT, or DECIMAL(7,3)"),
        ("TEXT UNSIGNED", "TEXT can't be UNSIGNED: only numbers can"),
        ("BIT(0)", "BIT(0): the width must be 1 to 64"),
        ("YEAR(2)", "YEAR(2): years have four digits"),
        ("ENUM", "ENUM needs its values as strings: write ENUM('a','b')"),
        ("ENUM('a','a')", "ENUM value 'a' is given twice"),
        ("ENUM('a ')", "ENUM value 'a ' ends in a blank, which the server cuts off"),
        ("SET('a,b')", "SET value 'a,b' is empty or holds a comma, which parts the values of a SET"),
        ("INT COLLATE utf8mb4_bin", "`c` is no text, so it has no character set or collation"),
        ("VARCHAR(3) AUTO_INCREMENT", "`c` is AUTO_INCREMENT, so it must be an integer"),
    ],
)
def test_a_wrong_argument_of_a_type_is_told(text: str, message: str) -> None:
    assert error(f"c {text}") == f"bad-type: {message}"


# --- columns ---------------------------------------------------------------------------------------------------------


def test_a_column_says_what_was_written() -> None:
    made = column("`odd name%` INT NOT NULL COMMENT 'it''s \\n %s'")
    assert (made.name, made.nullable, made.comment) == ("odd name%", False, "it's \n %s")
    assert str(made.position) == "schema/sql/shop.sql:1:17"


def test_columns_are_nullable_unless_they_say_not_or_are_in_the_primary_key() -> None:
    made = table("a INT, b INT NULL, c INT NOT NULL, d INT, PRIMARY KEY (d)")
    assert [each.nullable for each in made.columns] == [True, True, False, False]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("BOOL DEFAULT '0'", False),
        ("BOOL DEFAULT TRUE", True),
        ("INT DEFAULT '7'", 7),
        ("INT DEFAULT -7", -7),
        ("INT DEFAULT 0x10", 16),
        ("BIGINT UNSIGNED DEFAULT 18446744073709551615", 18446744073709551615),
        ("DOUBLE DEFAULT 1.5e3", 1500.0),
        ("DECIMAL(10,2) DEFAULT 1.5", "1.50"),
        ("VARCHAR(9) DEFAULT ''", ""),
        ("VARCHAR(9) DEFAULT 'a\\'b''c'", "a'b'c"),
        ("VARCHAR(9) DEFAULT _utf8mb4'x'", "x"),
        ("VARCHAR(9) DEFAULT 12", "12"),
        ("VARBINARY(9) DEFAULT X'00ff'", b"\0\xff"),
        ("BIT(4) DEFAULT b'101'", 5),
        ("DATE DEFAULT '2020-02-29'", "2020-02-29"),
        ("DATETIME DEFAULT '2020-02-29 10:00:00'", "2020-02-29 10:00:00"),
        ("TIME(3) DEFAULT '-1:02:03.5'", "-01:02:03.500000"),
        ("YEAR DEFAULT '2020'", 2020),
        ("ENUM('a','b') DEFAULT 'b'", "b"),
        ("SET('a','b') DEFAULT 'b,a'", "a,b"),
        ("JSON DEFAULT '{\"a\": 1}'", '{"a": 1}'),
        ("INT DEFAULT NULL", None),
    ],
)
def test_a_default_has_its_columns_type(text: str, value: Any) -> None:
    default = column(f"c {text}").default
    assert default == ir.Default(value)
    assert default is not None
    assert type(default.value) is type(value)


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("DATETIME(3) DEFAULT CURRENT_TIMESTAMP(3)", "CURRENT_TIMESTAMP(3)"),
        ("DATETIME DEFAULT now()", "CURRENT_TIMESTAMP"),
        ("TIMESTAMP DEFAULT localtimestamp", "CURRENT_TIMESTAMP"),
        ("TIMESTAMP DEFAULT (current_timestamp( ))", "CURRENT_TIMESTAMP"),
        ("CHAR(36) DEFAULT (uuid())", "uuid()"),
        ("CHAR(36) DEFAULT uuid()", "uuid()"),
        ("INT DEFAULT (1 /* one */ +\n  2)", "1 + 2"),
    ],
)
def test_a_default_that_the_server_evaluates_stays_mysql_text(text: str, expression: str) -> None:
    assert column(f"c {text}").default == ir.Default(expression=expression)


def test_on_update_is_kept() -> None:
    made = column("c TIMESTAMP(3) NULL DEFAULT NULL ON UPDATE current_timestamp(3)")
    assert (made.default, made.on_update, made.nullable) == (ir.Default(), "CURRENT_TIMESTAMP(3)", True)


def test_generated_columns_keep_their_expression() -> None:
    made = table("a INT, b INT GENERATED ALWAYS AS (a + 1) STORED, c INT AS (a*2) VIRTUAL, d INT AS (a) PERSISTENT")
    shown = [(each.generated, each.stored) for each in made.columns]
    assert shown == [(None, False), ("a + 1", True), ("a*2", False), ("a", True)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("TINYINT DEFAULT 300", "the default of `c`: 300 is not within -128 and 127"),
        (
            "TINYINT(1) DEFAULT 2",
            "the default of `c`: 2 is neither 0 nor 1, and TINYINT(1) is a boolean: write TINYINT for a number",
        ),
        ("INT DEFAULT 'x'", "the default of `c`: 'x' is no integer"),
        ("INT DEFAULT 1.5", "the default of `c`: 1.5 is no integer"),
        ("VARCHAR(2) DEFAULT 'abc'", "the default of `c`: 'abc' has 3 characters, more than 2"),
        ("VARBINARY(1) DEFAULT 0xffff", "the default of `c`: 0xffff has 2 bytes, more than 1"),
        ("DECIMAL(3,1) DEFAULT 100", "the default of `c`: 100 does not fit DECIMAL(3,1)"),
        ("DOUBLE DEFAULT 'nan'", "the default of `c`: 'nan' is no finite number"),
        ("DATE DEFAULT '2020-02-30'", "the default of `c`: '2020-02-30' is not a date like 2020-01-31"),
        ("TIME DEFAULT '900:00:00'", "the default of `c`: '900:00:00' is not a time like 10:30:00, up to 838:59:59"),
        ("YEAR DEFAULT 1900", "the default of `c`: 1900 is not within 1901 and 2155"),
        ("ENUM('a','b') DEFAULT 'c'", "the default of `c`: 'c' is not one of 'a', 'b'"),
        ("JSON DEFAULT '{'", "the default of `c`: '{' is not JSON"),
        ("VARBINARY(3) DEFAULT X'abc'", "the default of `c`: X'abc' has an odd number of digits"),
        ("INT NOT NULL DEFAULT NULL", "`c` is NOT NULL, so its default can't be NULL"),
        ("INT DEFAULT 'a' 'b'", "a default of two strings side by side: write them as one"),
        ("INT AUTO_INCREMENT DEFAULT 1 KEY", "`c` is AUTO_INCREMENT, so it can't have a default"),
        ("DATETIME(3) DEFAULT now()", "`c` holds 3 digits of a second, but CURRENT_TIMESTAMP gives 0: make them equal"),
        ("INT ON UPDATE now()", "ON UPDATE takes CURRENT_TIMESTAMP, on a DATETIME or TIMESTAMP column: `c` has other"),
        ("INT AS (1) DEFAULT 1", "`c` is generated, so it can't have DEFAULT, AUTO_INCREMENT or ON UPDATE"),
    ],
)
def test_a_default_that_does_not_fit_is_told(text: str, message: str) -> None:
    assert error(f"c {text}") == f"bad-default: {message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a", "syntax: column `a` has no type"),
        ("a INT foo", "syntax: `foo` is not understood after the type of `a`"),
        ("a INT NOT NULL NULL", "syntax: `a` has NULL twice: keep one"),
        ("a INT DEFAULT", "syntax: a value is missing here"),
        ("a INT DEFAULT b", "syntax: `b` stands where a value was expected"),
        ("a INT COMMENT x", "syntax: `x` stands where the comment as a string was expected"),
        ("a VARCHAR('3')", "syntax: `'3'` stands where a number was expected"),
        ("'a' INT", "syntax: `'a'` stands where the name of a column was expected"),
        ("`` INT", "bad-name: ```` can't name a column: use 1 to 64 characters without blanks at the ends"),
        ("`🙂` INT", "bad-name: ``🙂`` can't name a column: MySQL's names have no characters beyond U+FFFF"),
        ("`a\tb` INT", "bad-name: the name of a column holds a control character: leave it out"),
        (
            "a INT REFERENCES x (y)",
            "unknown-table: a foreign key refers to `x`, which is not declared in this file",
        ),
        ("a INT PRIMARY KEY REFERENCES t (a, a)", "bad-reference: 1 columns refer to 2: the numbers must be equal"),
        ("a INT INVISIBLE", "unsupported: INVISIBLE has no equal on every engine: leave it out of `a`"),
        ("a INT CHECK (b > 1)", "unknown-column: `t` has no column `b`, which an expression reads"),
        ("a INT CHECK (a >)", "bad-expression: `a >` is no expression of MySQL"),
        ("a INT CONSTRAINT c UNIQUE", "syntax: `UNIQUE` stands where CHECK was expected"),
        (
            "a DATE CHECK (a > now())",
            "bad-expression: `now()` is another at another time, so no engine takes it here: leave it out",
        ),
        (
            "a SERIAL, CHECK (a > 1)",
            "bad-check: CHECK `t_chk_1` reads `a`, which is AUTO_INCREMENT: no engine takes that",
        ),
        (
            "a INT CONSTRAINT c CHECK (a > 1) CHECK (a > 2) CONSTRAINT C CHECK (a > 3)",
            "duplicate-constraint: `t` has a constraint `C` already: choose another name",
        ),
        ("a TEXT CHARSET big5", "unsupported: character set `big5` is not supported: everything is stored in utf8mb4"),
        (
            "a TEXT COLLATE utf8mb4_x_ci",
            "unsupported: collation `utf8mb4_x_ci` is not supported: use utf8mb4_bin or utf8mb4_general_ci",
        ),
        ("a INT AS (1) NOT NULL", "unsupported: `a` is generated, and MariaDB takes no NOT NULL there: leave it out"),
        ("a INT DEFAULT (1 +)", "bad-expression: `1 +` is no expression of MySQL"),
        ("a INT DEFAULT (1, 2)", "bad-expression: `1, 2` is no single expression of MySQL"),
        ("a INT AS (@x)", "bad-expression: `@x` holds a variable, which no engine allows here"),
        ("a INT AS (b + 1)", "unknown-column: `t` has no column `b`, which an expression reads"),
        ("a INT, A TEXT", "duplicate-column: `t` has a column `A` already: names in other case are the same"),
    ],
)
def test_a_column_that_is_not_understood_is_told(text: str, message: str) -> None:
    assert error(text) == message


# --- keys ------------------------------------------------------------------------------------------------------------


def parts(key: ir.Key) -> list[tuple[str | None, bool, int | None]]:
    return [(part.column, part.descending, part.prefix) for part in key.parts]


@pytest.mark.parametrize(
    "text",
    [
        "a BIGINT, b INT, PRIMARY KEY (a, b DESC)",
        "a BIGINT, b INT, PRIMARY KEY USING BTREE (a, b DESC)",
        "a BIGINT, b INT, CONSTRAINT pk PRIMARY KEY (a, b DESC) USING BTREE COMMENT ''",
    ],
)
def test_the_primary_key(text: str) -> None:
    key = table(text).primary_key
    assert key is not None
    assert (key.name, key.unique, parts(key)) == ("PRIMARY", True, [("a", False, None), ("b", True, None)])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("KEY k (a, b)", ("k", False, [("a", False, None), ("b", False, None)])),
        ("INDEX k USING HASH (B DESC, a ASC)", ("k", False, [("b", True, None), ("a", False, None)])),
        ("UNIQUE KEY k (c(10))", ("k", True, [("c", False, 10)])),
        ("UNIQUE k (c(40))", ("k", True, [("c", False, None)])),
        ("UNIQUE (a)", ("a", True, [("a", False, None)])),
        ("CONSTRAINT x UNIQUE (a)", ("x", True, [("a", False, None)])),
        ("CONSTRAINT x UNIQUE INDEX y (a)", ("y", True, [("a", False, None)])),
        ("KEY `odd %` (`a`) KEY_BLOCK_SIZE=8 COMMENT 'why'", ("odd %", False, [("a", False, None)])),
        ("KEY (t(5))", ("t", False, [("t", False, 5)])),
    ],
)
def test_each_shape_of_key(text: str, expected: tuple[str, bool, list[Any]]) -> None:
    (key,) = table(f"a INT, b INT, c VARCHAR(40), t TEXT, {text}").keys
    assert (key.name, key.unique, parts(key)) == expected


def test_fulltext_and_functional_keys_are_marked() -> None:
    fulltext, functional = table("a VARCHAR(9), FULLTEXT KEY f (a) WITH PARSER ngram, KEY ((lower(a)) DESC)").keys
    assert (fulltext.name, fulltext.kind) == ("f", "fulltext")
    assert (functional.name, functional.parts) == (
        "functional_index",
        (ir.KeyPart(None, descending=True, expression="lower(a)", type=ir.Text(9)),),
    )


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("upper(c)", ir.Text(3)),
        ("trim(ci)", ir.Text(9, collation="utf8mb4_general_ci")),
        ("left(t, 20)", ir.Text(20)),
        ("substring(v, 2, 3)", ir.Text(3)),
        ("substring(v, 2)", ir.Text(9)),
        ("concat(v, '-', c)", ir.Text(13)),
        ("concat(v, i)", ir.Text(20)),
        ("lower(e)", ir.Text(5)),
        ("cast(t as char(30)) collate utf8mb4_0900_ai_ci", ir.Text(30, collation="utf8mb4_unicode_520_ci")),
        ("cast(i as char)", ir.Text(11)),
        ("cast(v as char)", ir.Text(9)),
        ("cast(j->>'$.a' as char(30) charset utf8mb4)", ir.Text(30)),
        ("cast(j->'$.a' as unsigned)", ir.Int(64, signed=False)),
        ("cast(v as binary(5))", ir.Bytes(5)),
        ("cast(v as decimal(10,2))", ir.Decimal(10, 2)),
        ("cast(at as date)", ir.Date()),
        ("cast(v as datetime(3))", ir.DateTime(3)),
        ("date(at)", ir.Date()),
        ("year(at)", ir.Int(32)),
        ("length(t)", ir.Int(32)),
        ("i + 1", ir.Int(64)),
        ("u * 2", ir.Int(64, signed=False)),
        ("u % 2", ir.Int(64, signed=False)),
        ("-i", ir.Int(64)),
        ("abs(i - 2)", ir.Int(64)),
        ("i & 1", ir.Int(64, signed=False)),
        ("f + i", ir.Float(64)),
        ("i > 3", ir.Bool()),
        ("v like 'x%'", ir.Bool()),
        ("if(at is null, 1, null)", ir.Int(64)),
        ("case when i > 1 then v else c end", ir.Text(9)),
        ("ifnull(i, 0)", ir.Int(64)),
        ("coalesce(at, '2020-01-01')", ir.DateTime()),
        ("coalesce(ci, 'nobody at all')", ir.Text(13, collation="utf8mb4_general_ci")),
        ("nullif(v, '')", ir.Text(9)),
        ("(v)", ir.Text(9)),
    ],
)
def test_an_expression_in_a_key_has_a_type(expression: str, expected: ir.Type) -> None:
    columns = "i INT, u INT UNSIGNED, f DOUBLE, c CHAR(3), v VARCHAR(9), ci VARCHAR(9) COLLATE utf8mb4_general_ci"
    (key,) = table(f"{columns}, t TEXT, e ENUM('a','bcdef'), j JSON, at DATETIME, KEY k (({expression}))").keys
    assert key.parts[0].type == expected


def test_arrows_become_calls_since_mariadb_has_none() -> None:
    made = table("""
        j JSON, a INT, b INT AS (j -> '$.x'), KEY k ((CAST(`j`->>'$."y"' AS CHAR(9)))), CHECK (a->>'$.z' or a - 1 > a)
    """)
    assert made.columns[2].generated == "JSON_EXTRACT(j, '$.x')"
    assert made.keys[0].parts[0].expression == "CAST(JSON_UNQUOTE(JSON_EXTRACT(`j`, '$.\"y\"')) AS CHAR(9))"
    assert made.checks[0].expression == "JSON_UNQUOTE(JSON_EXTRACT(a, '$.z')) or a - 1 > a"


def test_checks_of_columns_and_tables_are_kept_with_their_names() -> None:
    made = table("""
        a INT CHECK (a > 1) CONSTRAINT low CHECK (a < 9) ENFORCED, b INT, CHECK (a < b),
        CONSTRAINT t_chk_2 CHECK (b < 100), CONSTRAINT CHECK (b > 0)
    """)
    assert [(check.name, check.expression) for check in made.checks] == [
        ("t_chk_1", "a > 1"),
        ("low", "a < 9"),
        ("t_chk_3", "a < b"),
        ("t_chk_2", "b < 100"),
        ("t_chk_4", "b > 0"),
    ]


def test_a_check_that_is_not_enforced_is_passed_over_with_a_note() -> None:
    diagnostics = Diagnostics()
    text = "CREATE TABLE t (a INT CHECK (a > 1) NOT ENFORCED, CONSTRAINT c CHECK (a > 2) /*!80016 NOT ENFORCED */)"
    (made,) = parse_database(text.encode(), "shop", "shop.sql", diagnostics).tables
    assert made.checks == ()
    assert [str(note) for note in diagnostics.notes] == [
        "shop.sql:1:23: note: a CHECK that is NOT ENFORCED holds nothing to it and is passed over",
        "shop.sql:1:51: note: a CHECK that is NOT ENFORCED holds nothing to it and is passed over",
    ]


def test_a_column_may_declare_its_reference() -> None:
    made = read("""
        CREATE TABLE child (a INT REFERENCES parent (id) ON DELETE SET NULL ON UPDATE CASCADE UNIQUE, b INT,
          CONSTRAINT fk FOREIGN KEY (B) REFERENCES parent (ID));
        CREATE TABLE parent (id INT PRIMARY KEY);
        ALTER TABLE child MODIFY a INT COMMENT 'still refers';
    """).tables[0]
    assert [(key.name, key.columns, key.on_delete, key.on_update) for key in made.foreign_keys] == [
        ("child_ibfk_1", ("a",), "SET NULL", "CASCADE"),
        ("fk", ("b",), "", ""),
    ]
    assert made.foreign_keys[1].target_columns == ("id",)


def test_a_foreign_key_may_cross_databases(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text("CREATE TABLE t (id INT PRIMARY KEY, FOREIGN KEY (id) REFERENCES b.t (id))")
    (tmp_path / "b.sql").write_text("CREATE TABLE t (id INT PRIMARY KEY, FOREIGN KEY (id) REFERENCES b.t (id))")
    (tmp_path / "c.sql").write_text("CREATE TABLE t (id INT PRIMARY KEY, x INT REFERENCES b.nope (id))")
    diagnostics = Diagnostics()
    databases = parse_databases(tmp_path, "sql", diagnostics)
    assert [database.tables[0].foreign_keys[0].target_database for database in databases[:2]] == ["b", None]
    assert [str(found) for found in diagnostics.found] == [
        "sql/c.sql:1:43: unknown-table: a foreign key refers to `nope`, which is not declared in file b.sql"
    ]


def test_a_database_has_each_name_of_a_foreign_key_once() -> None:
    assert errors("""CREATE TABLE a (id INT PRIMARY KEY, CONSTRAINT fk FOREIGN KEY (id) REFERENCES b (id));
CREATE TABLE b (id INT PRIMARY KEY, CONSTRAINT FK FOREIGN KEY (id) REFERENCES a (id));
""") == ["2:37: duplicate-constraint: `a` has a foreign key `FK` already: a database has each name once"]


def test_unnamed_keys_get_the_names_that_mysql_gives() -> None:
    made = table("a INT UNIQUE, b INT, KEY (a), KEY a_2 (a, b), KEY (a, b), UNIQUE (b)")
    assert [key.name for key in made.keys] == ["a", "a_3", "a_2", "a_4", "b"]


def test_foreign_keys() -> None:
    database = read("""
        CREATE TABLE child (a INT, b INT NOT NULL,
          CONSTRAINT fk FOREIGN KEY (b) REFERENCES parent (id) ON DELETE CASCADE,
          FOREIGN KEY (a) REFERENCES parent (id) ON UPDATE NO ACTION ON DELETE SET NULL);
        CREATE TABLE parent (id INT PRIMARY KEY);
    """)
    shown = [
        (key.name, key.columns, key.target_table, key.target_columns, key.on_delete, key.on_update)
        for key in database.tables[0].foreign_keys
    ]
    assert shown == [
        ("fk", ("b",), "parent", ("id",), "CASCADE", ""),
        ("child_ibfk_2", ("a",), "parent", ("id",), "SET NULL", "NO ACTION"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("KEY k (nope)", "unknown-column: `t` has no column `nope`, which key `k` names"),
        ("KEY k (a), KEY K (b)", "duplicate-key: `t` has a key `K` already: choose another name"),
        ("PRIMARY KEY (a), PRIMARY KEY (b)", "multiple-primary-keys: `t` has a primary key already: keep one"),
        (
            "KEY k (x)",
            "missing-key-length: key `k`: `x` is a TEXT or BLOB, so give a prefix length like x(100)",
        ),
        ("KEY k (a(3))", "bad-key: key `k`: a prefix of `a`, which is no text or binary column"),
        ("KEY k (v(1001))", "bad-key: key `k`: a prefix of 1001 is longer than `v` itself"),
        ("KEY k (x(0))", "bad-key: a prefix of 0 characters of `x`: give a length or none"),
        ("KEY k (a, b, a)", "bad-key: key `k` has column `a` twice: keep one"),
        ("KEY k (j)", "bad-key: key `k`: `j` is JSON, which has no order to keep"),
        ("FULLTEXT KEY k (a)", "bad-key: FULLTEXT key `k`: `a` is no text"),
        ("PRIMARY KEY ((a + 1))", "bad-key: a primary key can't hold an expression: name its columns"),
        ("PRIMARY KEY (n)", "bad-key: `n` is part of the primary key, so it can't be NULL"),
        ("KEY k (v)", "key-too-long: key `k` takes up to 4000 bytes, but 3072 is the most: give prefix lengths"),
        ("KEY ()", "syntax: `)` stands where the name of a column was expected"),
        ("KEY k (a) FOO", "syntax: `FOO` stands where `,` or the end of the key was expected"),
        ("KEY `PRIMARY` (a)", "bad-name: only the primary key may be named PRIMARY: choose another name"),
        ("KEY k (a) INVISIBLE", "unsupported: INVISIBLE has no equal on every engine: leave the key out, or the word"),
        ("SPATIAL KEY k (a)", "unsupported: SPATIAL keys need spatial types, which are not supported: leave it out"),
        ("CONSTRAINT x KEY (a)", "syntax: `KEY` stands where PRIMARY KEY, UNIQUE, FOREIGN KEY or CHECK was expected"),
        ("CHECK (a > 1) x", "syntax: `x` stands where `,` or the end of the CHECK was expected"),
        (
            "KEY k ((lower(x)))",
            "missing-key-length: key `k`: `lower(x)` may be as long as a TEXT or BLOB: write LEFT(lower(x), 100)",
        ),
        (
            "KEY k ((a / 2))",
            "bad-key: key `k`: the type of `a / 2` is not plain, and a key needs one: write CAST(a / 2 AS …)",
        ),
        ("KEY k ((nope + 1))", "unknown-column: `t` has no column `nope`, which an expression reads"),
        (
            "KEY k ((rand() + a))",
            "bad-expression: `RAND()` is another at another time, so no engine takes it here: leave it out",
        ),
        ("FULLTEXT KEY k ((lower(v)))", "bad-key: FULLTEXT key `k` can't hold an expression: name its columns"),
        (
            "KEY k ((lower(v)))",
            "key-too-long: key `k` takes up to 4000 bytes, but 3072 is the most: give prefix lengths",
        ),
        (
            "`k#1` INT, KEY k ((a + 1))",
            "bad-key: key `k` needs a column `k#1` of its own, which the table has: rename it",
        ),
        (
            "UNIQUE (b), CONSTRAINT c CHECK (b > 1), CONSTRAINT d FOREIGN KEY (b) REFERENCES t (b) ON UPDATE CASCADE",
            "bad-check: CHECK `c` reads `b`, which foreign key `d` changes: no engine takes both",
        ),
        (
            "FOREIGN KEY (a) REFERENCES nope (b)",
            "unknown-table: a foreign key refers to `nope`, which is not declared in this file",
        ),
        ("FOREIGN KEY (q) REFERENCES t (a)", "unknown-column: `t` has no column `q`, which a foreign key names"),
        (
            "FOREIGN KEY (a) REFERENCES other.t (a)",
            "unknown-table: a foreign key refers to database `other`, which no file declares",
        ),
        (
            "FOREIGN KEY (a) REFERENCES t (b)",
            "bad-reference: `t` has no primary or unique key of just (b), which a foreign key needs",
        ),
        (
            "UNIQUE (j2), FOREIGN KEY (a) REFERENCES t (j2)",
            "bad-reference: `a` and `t.j2` differ in type: a foreign key needs them equal",
        ),
        (
            "UNIQUE (b), FOREIGN KEY (a) REFERENCES t (b) ON DELETE SET NULL",
            "bad-reference: SET NULL on `a`, which is NOT NULL: let it be NULL or choose another action",
        ),
        ("FOREIGN KEY (a, b) REFERENCES t (a)", "bad-reference: 2 columns refer to 1: the numbers must be equal"),
        (
            "FOREIGN KEY (a) REFERENCES t (a) ON DELETE SET DEFAULT",
            "syntax: `SET` stands where RESTRICT, CASCADE, SET NULL or NO ACTION was expected",
        ),
    ],
)
def test_a_key_that_no_engine_takes_is_told(text: str, message: str) -> None:
    assert error(f"a INT NOT NULL, b INT, x TEXT, v VARCHAR(1000), j JSON, n INT NULL, j2 BIGINT, {text}") == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a INT AUTO_INCREMENT", "bad-key: `a` is AUTO_INCREMENT, so it must be the first column of a key"),
        (
            "a INT AUTO_INCREMENT KEY, b INT AUTO_INCREMENT UNIQUE",
            "bad-key: `b` is the second AUTO_INCREMENT of `t`: one is the most",
        ),
    ],
)
def test_a_counted_column_needs_a_key(text: str, message: str) -> None:
    assert error(text) == message


# --- directives ------------------------------------------------------------------------------------------------------


def test_directives_land_on_the_table_and_columns_they_stand_at() -> None:
    made = read(
        """
        -- sun: cache ttl=6h max=10000
        -- A plain comment between them.
        # sun: events delete, insert
        CREATE TABLE post (
          post_id BIGINT NOT NULL,
          kind TINYINT, -- sun: enum=sun.v1.PostType
          -- sun: enum=sun.v1.Level
          -- sun: renamed_from=`old level`
          level INT
            COMMENT 'over two lines',
          -- sun: renamed_from=created
          created_ms BIGINT,
          PRIMARY KEY (post_id) -- the end
        );
    """
    ).tables[0]
    assert made.cache == ir.CacheRule(21_600_000, 10_000)
    assert made.events == ("insert", "delete")
    assert [(each.enum, each.renamed_from) for each in made.columns] == [
        (None, None),
        ("sun.v1.PostType", None),
        ("sun.v1.Level", "old level"),
        (None, "created"),
    ]


@pytest.mark.parametrize(
    ("text", "ttl_ms"), [("1ms", 1), ("2s", 2_000), ("3m", 180_000), ("4h", 14_400_000), ("5d", 432_000_000)]
)
def test_a_time_to_live_has_a_unit(text: str, ttl_ms: int) -> None:
    made = read(f"-- sun: cache ttl={text}\nCREATE TABLE t (a INT PRIMARY KEY)").tables[0]
    assert made.cache == ir.CacheRule(ttl_ms)


def test_a_directive_behind_the_opening_or_the_end_of_a_table_is_the_tables() -> None:
    first = read("CREATE TABLE t ( -- sun: events insert\n a INT)").tables[0]
    second = read("CREATE TABLE t (a INT); -- sun: events insert\n").tables[0]
    assert first.events == second.events == ("insert",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "-- sun: tracing on\nCREATE TABLE t (a INT)",
            (
                "1:1: unknown-directive: `tracing` is no directive: "
                "tables have cache and events, columns have enum and renamed_from"
            ),
        ),
        (
            "-- sun: enum=sun.v1.X\nCREATE TABLE t (a INT)",
            (
                "1:1: bad-directive: `enum` concerns a column, but a table stands here: "
                "put it above the column or at its line's end"
            ),
        ),
        (
            "CREATE TABLE t (\n  -- sun: cache ttl=1h\n  a INT)",
            "2:3: bad-directive: `cache` concerns a table, but a column stands here: put it above CREATE TABLE",
        ),
        (
            "CREATE TABLE t (\n  a INT,\n  -- sun: enum=sun.v1.X\n  KEY (a))",
            (
                "3:3: bad-directive: `enum` concerns a column, but a key stands here: "
                "put it above the column or at its line's end"
            ),
        ),
        (
            "CREATE TABLE t (\n  a INT\n  -- sun: enum=sun.v1.X\n)",
            (
                "3:3: bad-directive: `enum` concerns a column, but no column or table follows: "
                "put it above the column or at its line's end"
            ),
        ),
        (
            "CREATE TABLE t (a INT);\n-- sun: events insert\n",
            "2:1: bad-directive: `events` concerns a table, but the file ends here: put it above CREATE TABLE",
        ),
        (
            "-- sun: events insert\nSET x = 1;",
            "1:1: bad-directive: `events` concerns a table, but no table follows: put it above CREATE TABLE",
        ),
        (
            "CREATE TABLE t (a VARCHAR(3)) -- sun: enum=x",
            (
                "1:31: bad-directive: `enum` concerns a column, but a table stands here: "
                "put it above the column or at its line's end"
            ),
        ),
        (
            "CREATE TABLE t (\n  a VARCHAR(3) -- sun: enum=sun.v1.X\n)",
            "2:16: bad-directive: enum=sun.v1.X needs an integer column, and `a` is none",
        ),
        (
            "CREATE TABLE t (\n  a INT -- sun: enum=1x\n)",
            "2:9: bad-directive: `1x` is no full name of an enum: write enum=package.v1.Name",
        ),
        (
            "CREATE TABLE t (\n  a INT -- sun: renamed_from\n)",
            "2:9: bad-directive: `renamed_from` needs a value: write renamed_from=old_name",
        ),
        (
            "CREATE TABLE t (b INT,\n  a INT -- sun: renamed_from=B\n)",
            "2:3: bad-directive: `a` can't be renamed from `B`, which is another column's name",
        ),
        (
            "-- sun: cache\nCREATE TABLE t (a INT KEY)",
            "1:1: bad-directive: `cache` needs a time to live: write cache ttl=6h",
        ),
        (
            "-- sun: cache ttl=6\nCREATE TABLE t (a INT KEY)",
            "1:1: bad-directive: ttl=`6` is no duration: write a positive number and ms, s, m, h or d, like 6h",
        ),
        (
            "-- sun: cache ttl=6h max=-1\nCREATE TABLE t (a INT KEY)",
            "1:1: bad-directive: max=`-1` is no number of rows: write a positive integer",
        ),
        (
            "-- sun: cache ttl=6h size=1\nCREATE TABLE t (a INT KEY)",
            "1:1: bad-directive: `size=1` is not understood: write ttl=6h or max=10000 or lists=key_name",
        ),
        (
            "-- sun: cache ttl=6h lists=a,,b\nCREATE TABLE t (a INT KEY)",
            "1:1: bad-directive: lists=`a,,b` has an empty name: write lists=key_name,other",
        ),
        (
            "-- sun: cache ttl=6h lists=a,b,a\nCREATE TABLE t (a INT KEY)",
            "1:1: bad-directive: lists=`a,b,a` names a key twice: write lists=key_name,other",
        ),
        (
            "-- sun: cache ttl=6h\nCREATE TABLE t (a INT)",
            "1:1: bad-directive: `cache` keeps rows by primary key, and `t` has none: add one",
        ),
        (
            "-- sun: cache ttl=6h\n-- sun: cache ttl=6h\nCREATE TABLE t (a INT KEY)",
            "2:1: bad-directive: `cache` is given twice: keep one",
        ),
        (
            "-- sun: events select\nCREATE TABLE t (a INT)",
            "1:1: bad-directive: `select` is no row event: choose of insert, update, delete",
        ),
        (
            "-- sun: events\nCREATE TABLE t (a INT)",
            "1:1: bad-directive: `events` names none: write events insert,update,delete",
        ),
    ],
)
def test_a_directive_that_lands_nowhere_or_says_nothing_is_told(text: str, message: str) -> None:
    assert errors(text) == [message]


# --- files -----------------------------------------------------------------------------------------------------------

DUMP = """\
/*M!999999\\- enable the sandbox mode */
-- MySQL dump 10.13  Distrib 8.0.36
/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;
CREATE DATABASE /*!32312 IF NOT EXISTS*/ `shop` /*!40100 DEFAULT CHARACTER SET utf8mb4 */;
USE `shop`;
DROP TABLE IF EXISTS `user`;
/*!50503 SET character_set_client = utf8mb4 */;
CREATE TABLE `user` (
  `user_id` bigint(20) unsigned NOT NULL AUTO_INCREMENT COMMENT 'a; semicolon',
  `name` varchar(32) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci DEFAULT NULL,
  `made` timestamp NOT NULL DEFAULT current_timestamp() ON UPDATE current_timestamp(),
  PRIMARY KEY (`user_id`),
  UNIQUE KEY `name` (`name`) USING BTREE
) ENGINE=InnoDB AUTO_INCREMENT=5 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci COMMENT='people'
/*!50100 PARTITION BY HASH (`user_id`) PARTITIONS 4 */;
LOCK TABLES `user` WRITE;
/*!40000 ALTER TABLE `user` DISABLE KEYS */;
INSERT INTO `user` VALUES (1,'it\\'s; -- sun: x','2020-01-01 00:00:00'),(2,"#",NULL);
/*!40000 ALTER TABLE `user` ENABLE KEYS */;
UNLOCK TABLES;
CREATE TABLE `tag` (`tag_id` int(11) NOT NULL, `name` varchar(20) NOT NULL);
ALTER TABLE `tag`
  ADD PRIMARY KEY (`tag_id`),
  ADD UNIQUE KEY `by_name` (`name`);
ALTER TABLE `tag`
  MODIFY `tag_id` int(11) NOT NULL AUTO_INCREMENT, AUTO_INCREMENT=7;
COMMIT;
"""


def test_a_dump_is_read_as_it_is() -> None:
    user, tag = read(DUMP).tables
    assert (user.name, user.comment, [each.name for each in user.columns]) == (
        "user",
        "people",
        ["user_id", "name", "made"],
    )
    assert user.columns[0].comment == "a; semicolon"
    assert user.columns[2].on_update == "CURRENT_TIMESTAMP"
    assert [(key.name, key.unique) for key in user.keys] == [("name", True)]
    assert tag.primary_key is not None
    assert (tag.columns[0].auto_increment, parts(tag.primary_key)) == (True, [("tag_id", False, None)])
    assert [key.name for key in tag.keys] == ["by_name"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("CREATE INDEX i ON t (a)", "1:19: unknown-table: table `t` is not declared above: put its CREATE TABLE first"),
        ("CREATE INDEX i (a)", "1:8: syntax: CREATE INDEX needs ON and the name of its table"),
        (
            "CREATE TEMPORARY TABLE t (a INT)",
            "1:1: unsupported: a TEMPORARY table is not part of a schema: leave it out",
        ),
        ("CREATE TABLE t LIKE u", "1:16: unsupported: a table made from another one: write its columns out"),
        ("CREATE TABLE t (a INT) SELECT 1", "1:24: unsupported: table option `SELECT` is not supported: leave it out"),
        ("CREATE TABLE t ()", "1:17: syntax: a column or key is missing before `)`"),
        ("CREATE TABLE t (a INT,)", "1:23: syntax: a column or key is missing before `)`"),
        ("CREATE TABLE t (a INT", "1:16: syntax: this `(` is never closed"),
        ("CREATE TABLE t", "1:15: syntax: `(` is missing here"),
        ("CREATE TABLE t (KEY (a))", "1:14: syntax: table `t` has no columns"),
        (
            "CREATE TABLE other.t (a INT)",
            "1:14: unsupported: database `other` in the file of `shop`: a file holds the tables of one database",
        ),
        ("CREATE TABLE `a.b` (a INT)", "1:14: bad-name: table `a.b` has a dot or slash in its name: leave it out"),
        ("CREATE TABLE t (a INT) COMMENT=x", "1:32: syntax: `x` stands where the comment as a string was expected"),
        (
            "ALTER TABLE t ADD KEY (a)",
            "1:13: unknown-table: table `t` is not declared above: put its CREATE TABLE first",
        ),
        (
            "CREATE TABLE t (a INT); ALTER TABLE t ADD COLUMN b INT",
            "1:39: unsupported: only ADD of a key and MODIFY of a column are read: write this into the CREATE TABLE",
        ),
        ("CREATE TABLE t (a INT); ALTER TABLE t MODIFY b INT", "1:46: unknown-column: `t` has no column `b`"),
        (
            "CRATE TABLE t (a INT)",
            "1:1: unsupported: `CRATE` opens no statement that a schema holds: declare tables with CREATE TABLE",
        ),
        ("'x'", "1:1: syntax: `'x'` opens no statement that a schema holds: declare tables with CREATE TABLE"),
        ("CREATE TABLE t (a INT DEFAULT 'x)", "1:31: syntax: this string is never closed"),
        ("CREATE TABLE `t (a INT)", "1:14: syntax: this name is never closed"),
        ("SET x = 1; /* and", "1:12: syntax: this comment is never closed"),
        ("/*!40101 SET x = 1;", "1:1: syntax: this comment is never closed"),
        ("SET x = 1 */;", "1:11: syntax: `*/` closes a comment that was never opened"),
        (
            "CREATE TABLE t (a INT);\nCREATE TABLE T (a INT)",
            "2:14: duplicate-table: table `T` is declared already, at shop.sql:1:14: names in other case are the same",
        ),
    ],
)
def test_a_statement_that_is_no_schema_is_told(text: str, message: str) -> None:
    assert message in errors(text)


def test_objects_that_are_no_tables_are_passed_over_with_a_note() -> None:
    text = """\
CREATE TABLE t (a INT);
CREATE ALGORITHM=UNDEFINED DEFINER=`root`@`%` SQL SECURITY DEFINER VIEW v AS SELECT a FROM t;
DELIMITER ;;
CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW BEGIN SET a = 1; END ;;
CREATE PROCEDURE p() BEGIN SELECT 1; END ;;
DELIMITER ;
"""
    diagnostics = Diagnostics()
    database = parse_database(text.encode(), "shop", "shop.sql", diagnostics)
    assert diagnostics.found == []
    assert [table.name for table in database.tables] == ["t"]
    told = "is passed over: Sun neither creates nor calls it; its logic belongs in a handler"
    assert [str(note) for note in diagnostics.notes] == [
        f"shop.sql:2:1: note: a VIEW {told}",
        f"shop.sql:4:1: note: a TRIGGER {told}",
        f"shop.sql:5:1: note: a PROCEDURE {told}",
    ]


def test_a_zero_date_as_default_is_passed_over_with_a_note() -> None:
    diagnostics = Diagnostics()
    text = "CREATE TABLE t (a DATETIME NOT NULL DEFAULT '0000-00-00 00:00:00')"
    made = parse_database(text.encode(), "shop", "shop.sql", diagnostics).tables[0].columns[0]
    assert (made.default, made.nullable, diagnostics.found) == (None, False, [])
    (note,) = diagnostics.notes
    assert str(note.position) == "shop.sql:1:45"
    assert note.message == "the default of `a`, '0000-00-00 00:00:00', is no day and is passed over: rows give a value"


def test_what_a_client_or_a_dump_does_besides_is_passed_over() -> None:
    text = """\
SELECT 'loading' AS info;
source more.sql;
FLUSH /*!50503 BINARY */ LOGS;
GRANT ALL ON x TO y;
-----------------------------------------------------------
CREATE TABLE t (a INT);
--
ALTER TABLE t PARTITION BY HASH (a) PARTITIONS 4;
/*!50610 ALTER TABLE t ENGINE=InnoDB */;
CALL p();
"""
    assert [table.name for table in read(text).tables] == ["t"]


def test_an_index_made_apart_is_a_key_of_its_table() -> None:
    database = read("""
        CREATE TABLE t (a INT, b VARCHAR(20));
        CREATE INDEX i ON t (a, b(5) DESC);
        CREATE UNIQUE INDEX u USING BTREE ON t (b);
    """)
    keys = database.tables[0].keys
    assert [(key.name, key.unique, parts(key)) for key in keys] == [
        ("i", False, [("a", False, None), ("b", True, 5)]),
        ("u", True, [("b", False, None)]),
    ]


def test_binary_behind_a_type_asks_for_a_comparison_byte_by_byte() -> None:
    assert column("x VARCHAR(40) BINARY DEFAULT NULL").type == ir.Text(40, collation="utf8mb4_bin")


def test_every_error_of_a_file_is_found_in_one_run() -> None:
    text = """\
CREATE TABLE a (
  x FOO,
  y VARCHAR,
  z INT DEFAULT 'q',
  KEY k (x, nope)
) FOO=1;
CREATE TABLE b (x INT,
CREATE TABLE c (x INT);
DROP EVERYTHING;
GARBAGE;
"""
    assert [found.split(": ")[0:2] for found in errors(text)] == [
        ["2:5", "unknown-type"],
        ["3:5", "bad-type"],
        ["4:17", "bad-default"],
        ["5:13", "unknown-column"],
        ["6:3", "unsupported"],
        ["7:16", "syntax"],
        ["10:1", "unsupported"],
    ]


def test_a_file_that_is_not_utf8_is_refused_at_its_byte() -> None:
    diagnostics = Diagnostics()
    parse_database(
        "-- é\nCREATE TABLE \xff".encode("latin1").replace(b"\xe9", b"\xc3\xa9"), "shop", "shop.sql", diagnostics
    )
    assert [str(found) for found in diagnostics.found] == [
        "shop.sql:2:14: bad-encoding: byte 0xff is not UTF-8: save the file as UTF-8"
    ]


def test_positions_count_characters_also_after_a_byte_order_mark_and_crlf() -> None:
    diagnostics = Diagnostics()
    text = "\ufeffCREATE TABLE t (\r\n  `ü` INT, x FOO)"
    parse_database(text.encode(), "shop", "shop.sql", diagnostics)
    assert [str(found.position) for found in diagnostics.found] == ["shop.sql:2:14"]


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path: Path) -> None:
    for name in ("sun_chat.sql", "sun.sql"):
        (tmp_path / name).write_text("CREATE TABLE t (a INT);")
    (tmp_path / "notes.txt").write_text("no schema")
    diagnostics = Diagnostics()
    databases = parse_databases(tmp_path, "schema/sql", diagnostics)
    assert [(each.name, each.file, len(each.tables)) for each in databases] == [
        ("sun", "schema/sql/sun.sql", 1),
        ("sun_chat", "schema/sql/sun_chat.sql", 1),
    ]
    assert diagnostics.found == []


def test_a_folder_that_is_not_there_has_no_databases(tmp_path: Path) -> None:
    assert parse_databases(tmp_path / "sql", "schema/sql", Diagnostics()) == ()


@pytest.mark.parametrize("name", ["Shop", "class", "my-shop", "1a", "mysql", "sqlite_x"])
def test_a_file_must_be_named_as_a_database_can_be(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.sql").write_text("")
    diagnostics = Diagnostics()
    parse_databases(tmp_path, "schema/sql", diagnostics)
    assert [str(found) for found in diagnostics.found] == [
        (
            f"schema/sql/{name}.sql:1:1: bad-name: `{name}` can't name a database: "
            "use lower-case letters, digits and _, and no Python keyword"
        )
    ]


@pytest.mark.parametrize("text", ["(" * 5_000 + "1" + ")" * 5_000, "1" + " + 1" * 20_000])
def test_an_expression_beyond_the_stack_is_refused(text: str) -> None:
    diagnostics = Diagnostics()
    database = parse_database(f"CREATE TABLE t (a INT AS ({text}))".encode(), "shop", "shop.sql", diagnostics)
    check(database, diagnostics)
    (found,) = diagnostics.found
    assert text[:60] in found.message
    assert len(found.message) < 150


# --- mutated schemas -------------------------------------------------------------------------------------------------

SCHEMA = (
    DUMP
    + """
-- sun: cache ttl=6h max=10
-- sun: events insert
CREATE TABLE post (
  post_id BIGINT NOT NULL,
  -- sun: enum=sun.v1.PostType
  kind TINYINT NOT NULL DEFAULT 1, -- sun: renamed_from=type
  `odd ``%` DECIMAL(10,2) DEFAULT '1.5', bits BIT(3) DEFAULT b'101', raw VARBINARY(8) DEFAULT 0xff,
  e ENUM('a','b') DEFAULT 'a', s SET('x','y') DEFAULT 'x,y', j JSON DEFAULT ('{}'), d DATE DEFAULT '2020-01-01',
  n INT AS (kind + 1) STORED, t TEXT, w VARCHAR(9) DEFAULT (lower('A')),
  at DATETIME(3) DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
  back BIGINT NULL REFERENCES post (post_id) ON DELETE SET NULL CONSTRAINT sound CHECK (kind IN (1, 2)),
  PRIMARY KEY (post_id), UNIQUE KEY u (kind DESC, t(10)), KEY (raw, e), FULLTEXT KEY f (t),
  UNIQUE KEY low ((lower(w)), (if(at IS NULL, 1, NULL))), KEY far ((CAST(j->>'$.a' AS CHAR(9)) COLLATE utf8mb4_bin)),
  CHECK (d >= '2020-01-01' AND w LIKE 'a%' OR `odd ``%` BETWEEN 1 AND 2.5) NOT ENFORCED, CHECK (length(t) > 0),
  CONSTRAINT fk FOREIGN KEY (post_id) REFERENCES post (post_id) ON DELETE CASCADE
) COMMENT='x';
"""
)
_PIECES = re.findall(r"\s+|\w+|.", SCHEMA)
_JUNK = [
    "'",
    '"',
    "`",
    "(",
    ")",
    ",",
    ";",
    "--",
    "-- sun: ",
    "/*",
    "*/",
    "/*!40101",
    "\\",
    "\0",
    "é",
    "0x",
    "b'2'",
    "99999999999999999999",
]


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
    database = parse_database(text.encode(errors="surrogatepass"), "shop", "shop.sql", diagnostics)
    check(database, diagnostics)
    schema = ir.Schema((database,), (), ())
    sql_walker.check(schema, diagnostics)
    lines = text.count("\n") + 1
    assert all(1 <= found.position.line <= lines for found in diagnostics.found)
    if all(found.code == "unknown-enum" for found in diagnostics.found):  # no .proto file is part of this
        for dialect in DIALECTS:
            ddl(database, dialect)
        for artifact in sql_walker.walk(schema, Target("generated", "schema", {})):
            if artifact.path.endswith(".py"):
                compile(artifact.text, artifact.path, "exec")
