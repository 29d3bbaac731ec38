"""What a cluster may have and a schema may ask of it, and what comes of that: for planning and for real clusters."""

from __future__ import annotations

from dataclasses import dataclass

POST = """
    CREATE TABLE post (
      user_id BIGINT,
      post_id BIGINT,
      name    TEXT STATIC,
      text    TEXT,
      tags    SET<TEXT>,
      PRIMARY KEY (user_id, post_id)
    ) WITH CLUSTERING ORDER BY (post_id DESC);
"""
COUNT = "CREATE TABLE count (id BIGINT PRIMARY KEY, likes COUNTER);\n"
PLACE = "CREATE TYPE place (street TEXT, number INT);\n"
KEYED = "CREATE TABLE visit (at FROZEN<place>, day DATE, PRIMARY KEY (at, day));\n"
VIEW = """
    CREATE MATERIALIZED VIEW by_text AS
      SELECT user_id, post_id, text FROM post
      WHERE text IS NOT NULL AND user_id IS NOT NULL AND post_id IS NOT NULL AND post_id > 5
      PRIMARY KEY (text, user_id, post_id);
"""
COPY = "make a table of another name and copy the rows"
OTHER = "add a column of another name"


@dataclass(frozen=True)
class Case:
    """`old` is what the cluster has, after the statements of `meanwhile`; `new` is the schema, `{at}` its place there.

    `made`, `refused` and `noted` are the lines of the plan, in which the keyspace is called shop.
    """

    name: str
    old: str
    new: str
    made: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    noted: tuple[str, ...] = ()
    meanwhile: tuple[str, ...] = ()

    @property
    def has_view(self) -> bool:
        return "MATERIALIZED VIEW" in self.old + self.new


ADDITIONS = (
    Case("nothing", POST + PLACE, POST + PLACE),
    Case("a table", COUNT, COUNT + POST, ("table shop.post",)),
    Case(
        "columns",
        POST,
        POST.replace("tags ", "seen TIMESTAMP,\n places LIST<INT>,\n tags "),
        ("column shop.post.seen", "column shop.post.places"),
    ),
    Case("a static column", POST, POST.replace("name ", "age INT STATIC,\n name "), ("column shop.post.age",)),
    Case("a counter", COUNT, COUNT.replace("likes", "views COUNTER, likes"), ("column shop.count.views",)),
    Case(
        "types, fields and columns of them",
        PLACE + POST,
        "CREATE TYPE town (at FROZEN<place>, name TEXT);\n"
        + PLACE.replace(");", ", floor SMALLINT);")
        + POST.replace("tags ", "towns MAP<TEXT, FROZEN<town>>,\n at place,\n tags "),
        ("field shop.place.floor", "type shop.town", "column shop.post.towns", "column shop.post.at"),
    ),
    Case(
        "indexes",
        POST,
        POST + "CREATE INDEX ON post (text);\nCREATE CUSTOM INDEX tagged ON post (VALUES(tags)) USING 'sai';\n",
        ("index shop.post_text_idx", "index shop.tagged"),
    ),
    Case(
        "an index of a new column of a new type",
        POST,
        PLACE + POST.replace("tags ", "at FROZEN<place>,\n tags ") + "CREATE INDEX here ON post (at);\n",
        ("type shop.place", "column shop.post.at", "index shop.here"),
    ),
    Case("a view", POST, POST + VIEW, ("view shop.by_text",)),
    Case(
        "a column of a view that selects all",
        'CREATE TABLE "Odd One" (a INT PRIMARY KEY, "B b" INT);'.replace("Odd One", "OddOne")
        + 'CREATE MATERIALIZED VIEW odd AS SELECT * FROM "OddOne" WHERE a IS NOT NULL AND "B b" IS NOT NULL'
        + ' PRIMARY KEY ("B b", a);',
        'CREATE TABLE "OddOne" (a INT PRIMARY KEY, "B b" INT, c TEXT);'
        'CREATE MATERIALIZED VIEW odd AS SELECT * FROM "OddOne" WHERE a IS NOT NULL AND "B b" IS NOT NULL'
        ' PRIMARY KEY ("B b", a);',
        ("column shop.OddOne.c",),
    ),
    Case(
        "odd names",
        'CREATE TYPE "A b" ("select" INT); CREATE TABLE "T1" ("Key one" INT, "from" INT, PRIMARY KEY ("Key one"));',
        'CREATE TYPE "A b" ("select" INT, "F \\ ""g" FROZEN<LIST<"text ">>); CREATE TYPE "text " (a INT);'
        'CREATE TABLE "T1" ("Key one" INT, "from" INT, "it\'s ""x""" FROZEN<"A b">, PRIMARY KEY ("Key one"));'
        'CREATE INDEX "I1" ON "T1" ("it\'s ""x""");',
        ("type shop.text ", 'field shop.A b.F \\ "g', 'column shop.T1.it\'s "x"', "index shop.I1"),
    ),
    Case(
        "a column that was dropped as it comes back",
        POST,
        POST,
        ("column shop.post.tags",),
        meanwhile=("ALTER TABLE post DROP tags",),
    ),
)

REFUSALS = (
    Case(
        "a type",
        POST,
        POST.replace("text    TEXT", "text INT"),
        refused=(
            f"shop.post.text: the cluster has text, the schema int: the type of a column can't be changed; {OTHER}",
        ),
    ),
    Case(
        "the inner of a type",
        POST,
        POST.replace("SET<TEXT>", "FROZEN<SET<TEXT>>").replace("name    TEXT", "name BLOB"),
        refused=(
            (
                "shop.post.name: the cluster has text static, the schema blob static: the type of a"
                " column can't be changed;"
                f" {OTHER}"
            ),
            (
                "shop.post.tags: the cluster has set<text>, the schema frozen<set<text>>: the type of a"
                " column can't be changed;"
                f" {OTHER}"
            ),
        ),
    ),
    Case(
        "a kind",
        POST,
        POST.replace(" STATIC", "").replace("text    TEXT", "text TEXT STATIC"),
        refused=(
            (
                f"shop.post.name: the cluster has text static, the schema text: whether a column is"
                f" static can't be changed; {OTHER}"
            ),
            (
                f"shop.post.text: the cluster has text, the schema text static: whether a column is"
                f" static can't be changed; {OTHER}"
            ),
        ),
    ),
    Case(
        "a key",
        POST,
        POST.replace("KEY (user_id, post_id)", "KEY ((user_id, post_id))")
        .replace(" STATIC", "")
        .replace(") WITH CLUSTERING ORDER BY (post_id DESC)", ")"),
        refused=(
            (
                "shop.post: the cluster's key is ((user_id), post_id), the schema's ((user_id, post_id)):"
                f" a key can't be changed; {COPY}"
            ),
        ),
    ),
    Case(
        "the name of a key column",
        POST,
        POST.replace("post_id", "id"),
        refused=(
            (
                "shop.post: the cluster's key is ((user_id), post_id), the schema's ((user_id), id):"
                f' if they are the same, ALTER TABLE "{{at}}"."post" RENAME "post_id" TO "id"; if not, {COPY}'
            ),
        ),
    ),
    Case(
        "a key the other way round",
        POST,
        POST.replace("KEY (user_id, post_id)", "KEY (post_id, user_id)").replace("post_id DESC", "user_id DESC"),
        refused=(
            (
                "shop.post: the cluster's key is ((user_id), post_id), the schema's ((post_id), user_id):"
                f" a key can't be changed; {COPY}"
            ),
        ),
    ),
    Case(
        "the type of a key column",
        POST,
        POST.replace("user_id BIGINT", "user_id INT"),
        refused=(
            f"shop.post.user_id: the cluster has bigint, the schema int: the type of a key can't be changed; {COPY}",
        ),
    ),
    Case(
        "an order",
        POST,
        POST.replace(" DESC", " ASC"),
        refused=(
            (
                "shop.post.post_id: the cluster has it descending, the schema ascending: an order can't be changed;"
                f" {COPY}"
            ),
        ),
    ),
    Case(
        "a column that was dropped with another type",
        POST.replace("text    TEXT", "text INT"),
        POST,
        refused=(
            "shop.post.text: it was dropped there as int, and can't come back as text: give the column another name",
        ),
        meanwhile=("ALTER TABLE post DROP text",),
    ),
    Case(
        "a column that was dropped static",
        POST,
        POST.replace(" STATIC", ""),
        refused=(
            (
                "shop.post.name: it was dropped there as text static, and can't come back as text: give"
                " the column another name"
            ),
        ),
        meanwhile=("ALTER TABLE post DROP name",),
    ),
    Case(
        "a counter that was dropped",
        COUNT.replace("likes", "views COUNTER, likes"),
        COUNT.replace("likes", "views COUNTER, likes"),
        refused=(
            (
                "shop.count.views: it was dropped there as counter, and can't come back as counter: give"
                " the column another name"
            ),
        ),
        meanwhile=("ALTER TABLE count DROP views",),
    ),
    Case(
        "counters where there were none",
        "CREATE TABLE count (id BIGINT PRIMARY KEY);",
        COUNT,
        refused=(
            (
                "shop.count: the cluster's is no table of counters, the schema's one of counters:"
                f" this can't be changed; {COPY}"
            ),
        ),
    ),
    Case(
        "a field",
        PLACE,
        PLACE.replace("number INT", "number TEXT, floor INT"),
        refused=(
            (
                "shop.place.number: the cluster has int, the schema text: a type can't be changed; add a"
                " field of another name"
            ),
        ),
    ),
    Case(
        "a field between others",
        PLACE,
        PLACE.replace("number INT", "floor INT, number INT"),
        refused=(
            (
                "shop.place.floor: the cluster has the field number in its place: fields stay in their"
                " order, so put those that"
                " are new behind the others"
            ),
        ),
    ),
    Case(
        "a field of a type in a partition key",
        PLACE + KEYED,
        PLACE.replace(");", ", floor INT);") + KEYED,
        refused=(
            f"shop.place.floor: the field is missing, and a type in the partition key of visit gets no more: {COPY}",
        ),
    ),
    Case(
        "an index",
        POST + "CREATE INDEX found ON post (text);",
        POST + "CREATE INDEX found ON post (VALUES(tags));",
        refused=(
            (
                "shop.found: the cluster's index is of post (text), the schema's of post (values(tags)):"
                ' DROP INDEX "{at}"."found", and it is made anew'
            ),
        ),
    ),
    Case(
        "the options of an index",
        POST + "CREATE CUSTOM INDEX found ON post (text) USING 'sai' WITH OPTIONS = {'normalize': 'true'};",
        POST + "CREATE CUSTOM INDEX found ON post (text) USING 'sai' WITH OPTIONS = {'case_sensitive': 'true'};",
        refused=(
            (
                "shop.found: the cluster's index is of post (text) USING 'sai' WITH OPTIONS ="
                " {'normalize': 'true'}, the schema's"
                " of post (text) USING 'sai' WITH OPTIONS = {'case_sensitive': 'true'}:"
                ' DROP INDEX "{at}"."found", and it is made anew'
            ),
        ),
    ),
    Case(
        "the conditions of a view",
        POST + VIEW,
        POST + VIEW.replace("post_id > 5", "post_id IN (5, 6)"),
        refused=(
            (
                "shop.by_text: the cluster's view has WHERE text IS NOT NULL AND user_id IS NOT NULL AND"
                " post_id IS NOT NULL AND post_id > 5, the schema's WHERE text IS NOT NULL AND user_id IS NOT NULL AND"
                ' post_id IS NOT NULL AND post_id IN (5, 6): DROP MATERIALIZED VIEW "{at}"."by_text",'
                " and it is made anew"
            ),
        ),
    ),
    Case(
        "the key of a view",
        POST + VIEW,
        POST + VIEW.replace("KEY (text, user_id, post_id)", "KEY (text, post_id, user_id)"),
        refused=(
            (
                "shop.by_text: the cluster's key is ((text), user_id, post_id), the schema's"
                " ((text), post_id, user_id): a key can't be changed;"
                ' DROP MATERIALIZED VIEW "{at}"."by_text", and it is made anew'
            ),
        ),
    ),
    Case(
        "the columns of a view",
        POST + VIEW,
        POST + VIEW.replace("post_id, text FROM", "post_id, text, tags FROM"),
        refused=(
            (
                "shop.by_text.tags: the view on the cluster has no such column, and none can be added to a view:"
                ' DROP MATERIALIZED VIEW "{at}"."by_text", and it is made anew'
            ),
        ),
    ),
    Case(
        "a table that is a view",
        POST + VIEW,
        POST + "CREATE TABLE by_text (a INT PRIMARY KEY);",
        refused=(
            (
                "shop.by_text: the cluster has a materialized view of this name:"
                ' DROP MATERIALIZED VIEW "{at}"."by_text", and it is made anew'
            ),
        ),
    ),
)

NOTES = (
    Case(
        "what only the cluster has",
        PLACE + COUNT + POST.replace("tags ", "old INT,\n tags ") + "CREATE INDEX found ON post (text);",
        POST,
        noted=(
            "shop.post.old: the column is not in the schema",
            "shop.place: the type is not in the schema",
            "shop.count: the table is not in the schema",
            "shop.found: the index of post is not in the schema",
        ),
    ),
    Case(
        "a view and a field that only the cluster has",
        POST + VIEW + PLACE,
        POST + PLACE.replace(", number INT", ""),
        noted=(
            "shop.place.number: the field is not in the schema",
            "shop.by_text: the view of post is not in the schema",
        ),
    ),
    Case(
        "an index of another name",
        POST + "CREATE INDEX found ON post (text);",
        POST + "CREATE INDEX texts ON post (text);",
        noted=("shop.texts: the cluster has this index of post as found, which does as well",),
    ),
    Case(
        "options",
        POST,
        POST.replace(
            "(post_id DESC)",
            "(post_id DESC) AND comment = 'It''s' AND gc_grace_seconds = 60 AND default_time_to_live = 0",
        ),
        noted=(
            (
                "shop.post: gc_grace_seconds is 864000, the schema says 60:"
                ' ALTER TABLE "{at}"."post" WITH gc_grace_seconds = 60'
            ),
            "shop.post: comment is '', the schema says 'It''s': ALTER TABLE \"{at}\".\"post\" WITH comment = 'It''s'",
        ),
    ),
)
