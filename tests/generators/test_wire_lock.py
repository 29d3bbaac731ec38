"""Field numbers of row messages over the life of a table: what `sun generate` keeps, gives, takes back and refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

import sun
from generators import row_fields, wire_lock
from generators.diagnostics import Diagnostics

COLUMNS = {
    "item_id": "BIGINT NOT NULL PRIMARY KEY",
    "title": "VARCHAR(40) NOT NULL",
    "stock": "INT NOT NULL",
}


class Project:
    """A project of one table, `shop.item`, whose columns change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = folder / "schema/wire.lock"
        self.proto = folder / "generated/proto/shop/rows/v1/item.proto"
        (folder / "schema/sql").mkdir(parents=True)
        self.columns(COLUMNS)

    def columns(self, columns: dict[str, str], table: str = "item") -> None:
        lines = ",\n".join(f"  `{name}` {kind}" for name, kind in columns.items())
        (self.folder / "schema/sql/shop.sql").write_text(f"CREATE TABLE {table} (\n{lines}\n);\n")

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(sun.cli, ["--project", str(self.folder), "generate", *arguments])

    def generate(self) -> str:
        """What it says. It must succeed."""
        result = self.run()
        assert result.exit_code == 0, result.output
        return result.stdout

    def refused(self) -> str:
        """The one error. Nothing may have been written."""
        before = self.lock.read_bytes() if self.lock.exists() else None
        result = self.run()
        assert result.exit_code == 2, result.output
        assert result.stderr.splitlines()[1:] == ["sun: 1 error in the schema; nothing was written"]
        assert (self.lock.read_bytes() if self.lock.exists() else None) == before
        return result.stderr.splitlines()[0]

    def lines(self) -> list[str]:
        text = [line for line in self.lock.read_text().splitlines() if not line.startswith("#")]
        return [line.removeprefix("shop.rows.v1.Item ") for line in text]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path)
    made.generate()
    return made


FIRST = ["1 item_id int64", "2 title string", "3 stock int32"]


def test_the_first_run_numbers_columns_in_their_order(project: Project) -> None:
    assert project.lines() == FIRST
    assert "string title = 2;" in project.proto.read_text()


def test_a_second_run_changes_nothing(project: Project) -> None:
    (project.folder / "generated/.inputs").unlink()
    before = project.lock.stat().st_mtime_ns
    assert "wrote" not in project.generate()
    assert project.lock.stat().st_mtime_ns == before
    assert project.run("--check").exit_code == 0


def test_the_place_of_a_column_is_no_number(project: Project) -> None:
    project.columns(dict(reversed(COLUMNS.items())))
    project.generate()
    assert project.lines() == FIRST


def test_an_added_column_gets_the_next_number_wherever_it_stands(project: Project) -> None:
    project.columns({"first": "INT NOT NULL"} | COLUMNS)
    assert "wrote schema/wire.lock\n" in project.generate()
    assert project.lines() == [*FIRST, "4 first int32"]


def test_what_a_removed_column_leaves_goes_to_no_other(project: Project) -> None:
    project.columns({name: kind for name, kind in COLUMNS.items() if name != "stock"})
    said = project.generate()
    assert "schema/wire.lock:5:1: note: shop.rows.v1.Item: stock (int32) is gone" in said
    assert "its number 3 stays reserved" in said
    assert '  reserved 3;\n  reserved "stock";\n' in project.proto.read_text()
    project.columns({name: kind for name, kind in COLUMNS.items() if name != "stock"} | {"other": "INT NOT NULL"})
    project.generate()
    assert project.lines() == [*FIRST[:2], "3 stock int32 reserved", "4 other int32"]


def test_a_column_that_comes_back_as_it_was_finds_its_number(project: Project) -> None:
    project.columns({name: kind for name, kind in COLUMNS.items() if name != "stock"})
    project.generate()
    project.columns(COLUMNS)
    project.generate()
    assert project.lines() == FIRST


def test_a_column_that_comes_back_as_something_else_does_not(project: Project) -> None:
    project.columns({name: kind for name, kind in COLUMNS.items() if name != "stock"})
    project.generate()
    project.columns(COLUMNS | {"stock": "VARCHAR(9) NOT NULL"})
    project.generate()
    assert project.lines() == [*FIRST[:2], "3 stock int32 reserved", "4 stock string"]
    text = project.proto.read_text()
    assert "reserved 3;" in text
    assert 'reserved "' not in text, "the name is in use"


def test_a_renamed_column_keeps_its_number(project: Project) -> None:
    text = (project.folder / "schema/sql/shop.sql").read_text()
    renamed = text.replace("  `title`", "  -- sun: renamed_from=title\n  `name`")
    (project.folder / "schema/sql/shop.sql").write_text(renamed)
    assert "note" not in project.generate()
    assert project.lines() == [FIRST[0], "2 name string", FIRST[2]]
    (project.folder / "schema/sql/shop.sql").write_text(text.replace("`title`", "`name`"))
    project.generate()
    assert project.lines() == [FIRST[0], "2 name string", FIRST[2]], "the directive has done its work"


def test_a_renamed_column_takes_no_number_of_another(project: Project) -> None:
    # `Title` and `title` would be one protobuf name, but they are never there together.
    project.columns({"item_id": COLUMNS["item_id"], "name": "TEXT NOT NULL", "title": "VARCHAR(40) NOT NULL"})
    text = (project.folder / "schema/sql/shop.sql").read_text()
    (project.folder / "schema/sql/shop.sql").write_text(
        text.replace("  `name`", "  -- sun: renamed_from=_title\n  `name`")
    )
    project.generate()
    assert project.lines() == [*FIRST[:2], "3 stock int32 reserved", "4 name string"]


@pytest.mark.parametrize(
    ("was", "becomes", "kept"),
    [
        ("INT NOT NULL", "BIGINT NOT NULL", True),
        ("INT NOT NULL", "SMALLINT NOT NULL", True),
        ("INT NOT NULL", "INT", True),
        ("BOOL NOT NULL", "INT NOT NULL", True),
        ("INT UNSIGNED NOT NULL", "BIGINT NOT NULL", True),
        ("VARCHAR(9) NOT NULL", "LONGTEXT NOT NULL", True),
        ("VARCHAR(9) NOT NULL", "BLOB NOT NULL", True),
        ("BIGINT NOT NULL", "INT NOT NULL", False),
        ("INT NOT NULL", "INT UNSIGNED NOT NULL", False),
        ("INT NOT NULL", "DECIMAL(9,0) NOT NULL", False),
        ("INT NOT NULL", "DOUBLE NOT NULL", False),
        ("BLOB NOT NULL", "TEXT NOT NULL", False),
        ("DATETIME NOT NULL", "TIMESTAMP NOT NULL", False),
        ("SET('a') NOT NULL", "SET('a')", False),
    ],
)
def test_a_changed_type_keeps_its_number_where_old_messages_read_right(
    tmp_path: Path, was: str, becomes: str, kept: bool
) -> None:
    project = Project(tmp_path)
    project.columns(COLUMNS | {"stock": was})
    project.generate()
    project.columns(COLUMNS | {"stock": becomes})
    said = project.generate()
    numbers = [line.split()[0] for line in project.lines() if line.split()[1] == "stock"]
    assert numbers == (["3"] if kept else ["3", "4"])
    assert ("its number 3 stays reserved" in said) != kept
    assert [line for line in project.lines() if line.endswith(" reserved")] == project.lines()[2:3] * (not kept)


def test_a_dropped_table_leaves_all_its_numbers(project: Project) -> None:
    project.columns(COLUMNS, table="thing")
    assert "note: what had the message shop.rows.v1.Item is gone: its numbers stay reserved" in project.generate()
    assert project.lines()[:3] == [f"{line} reserved" for line in FIRST]
    assert not project.proto.exists()
    project.columns(COLUMNS | {"more": "INT"})
    project.generate()
    assert project.lines()[:4] == [*FIRST, "4 more int32"]


def test_check_shows_a_lock_that_is_behind_the_schema(project: Project) -> None:
    before = project.lock.read_text()
    project.columns(COLUMNS | {"more": "INT"})
    check = project.run("--check")
    assert check.exit_code == 1
    assert "changed: schema/wire.lock\n" in check.stdout
    assert "+shop.rows.v1.Item 4 more int32\n" in check.stdout
    assert project.lock.read_text() == before


def test_check_shows_a_lock_that_is_not_there_yet(tmp_path: Path) -> None:
    project = Project(tmp_path)
    assert "missing: schema/wire.lock\n" in project.run("--check").stdout
    assert not project.lock.exists()


def test_a_lock_out_of_order_is_put_in_order(project: Project) -> None:
    right = project.lock.read_text()
    head, *lines = right.rsplit("\n", 4)
    project.lock.write_text("\r\n".join([head, "", *reversed(lines)]) + "\r\n# a remark\r\n")
    assert "changed: schema/wire.lock" in project.run("--check").stdout
    project.generate()
    assert project.lock.read_text() == right


@pytest.mark.parametrize("lost", ["the file", "its lines", "one table of two"])
def test_lost_numbers_are_never_given_anew(project: Project, lost: str) -> None:
    if lost == "one table of two":
        columns = (project.folder / "schema/sql/shop.sql").read_text()
        (project.folder / "schema/sql/shop.sql").write_text(columns + "CREATE TABLE other (id INT PRIMARY KEY);")
        project.generate()
        project.lock.write_text("shop.rows.v1.Other 1 id int32\n")
    elif lost == "its lines":
        project.lock.write_text("")
    else:
        project.lock.unlink()
    error = project.refused()
    assert error.startswith("schema/wire.lock:1:1: lost-numbers: the numbers of shop.rows.v1.Item are lost: ")
    assert "delete generated/proto/shop/rows/v1/item.proto to number them anew" in error
    assert project.run("--check").exit_code == 2
    assert project.run("--force").exit_code == 2
    project.proto.unlink()
    project.generate()
    assert project.lines()[:3] == FIRST


def test_two_branches_that_gave_one_number_are_told_so_and_can_go_on(project: Project) -> None:
    project.columns(COLUMNS | {"ours": "INT", "theirs": "TEXT"})
    with project.lock.open("a") as stream:
        stream.write("shop.rows.v1.Item 4 ours int32\nshop.rows.v1.Item 4 theirs string\n")
    assert project.refused() == (
        "schema/wire.lock:7:1: number-clash: shop.rows.v1.Item: ours, at line 6, and theirs both have the number 4: "
        "delete the line of the one that nothing was written with yet, and run `sun generate`, which gives it another"
    )
    lines = project.lock.read_text().splitlines(keepends=True)
    project.lock.write_text("".join(lines[:-1]))
    project.generate()
    assert project.lines() == [*FIRST, "4 ours int32", "5 theirs string"]


def test_two_branches_that_added_the_same_column_are_told_so_and_can_go_on(project: Project) -> None:
    project.columns(COLUMNS | {"more": "INT"})
    with project.lock.open("a") as stream:
        stream.write("shop.rows.v1.Item 4 more int32\nshop.rows.v1.Item 5 more int32\n")
    assert "more has two numbers, 4 at line 6 and 5: put `reserved`" in project.refused()
    project.lock.write_text(project.lock.read_text().rstrip() + " reserved\n")
    project.generate()
    assert project.lines() == [*FIRST, "4 more int32", "5 more int32 reserved"]


def test_a_lock_that_is_not_utf_8_is_refused(project: Project) -> None:
    project.lock.write_bytes(project.lock.read_bytes() + b"\xff\n")
    assert project.refused().startswith("schema/wire.lock:6:1: bad-encoding: byte 0xff is not UTF-8: ")


def test_a_run_that_is_refused_leaves_the_lock_alone(project: Project) -> None:
    project.columns(COLUMNS | {"more": "INT"})
    (project.folder / "generated/sql/shop/item.py").write_text("mine = 1\n")
    before = project.lock.read_text()
    assert project.run().exit_code == 2
    assert project.lock.read_text() == before


def test_a_schema_without_tables_has_no_lock(tmp_path: Path) -> None:
    (tmp_path / "schema").mkdir()
    assert CliRunner().invoke(sun.cli, ["--project", str(tmp_path), "generate"]).exit_code == 0
    assert not (tmp_path / "schema/wire.lock").exists()


SOUND = b"shop.rows.v1.Item 1 item_id int64\nshop.rows.v1.Item 2 title string reserved\n"


@settings(max_examples=300)
@given(st.binary(max_size=60) | st.text(st.sampled_from("shop.rows v1Item 0123_int64enumreserved\n#<>="), max_size=60))
def test_a_lock_of_nonsense_is_a_diagnostic_or_a_lock(nonsense: bytes | str) -> None:
    data = nonsense if isinstance(nonsense, bytes) else nonsense.encode()
    diagnostics = Diagnostics()
    lines = wire_lock.read(SOUND + data, "schema/wire.lock", diagnostics)
    assert all(each.position.line > 2 and each.message for each in diagnostics.found)
    if not diagnostics.found:
        messages = row_fields.number((), lines, diagnostics)
        assert wire_lock.read(wire_lock.render(messages).encode(), "again", diagnostics)
        assert not diagnostics.found
