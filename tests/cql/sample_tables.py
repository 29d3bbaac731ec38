"""What generated code looks like, written by hand for tests.

A table of messages with every kind of column, one of three clustering columns in mixed order, one of counters, and a
materialized view.
"""

from __future__ import annotations

import datetime
import typing as t

import msgspec

from runtime import cql
from runtime.cql import types

DDL = """
CREATE KEYSPACE sun_msg WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1};

CREATE TYPE sun_msg.place (name text, zip int, marks frozen<list<int>>);

CREATE TABLE sun_msg.message (
  room_key text,
  bucket int,
  message_id bigint,
  topic text static,
  text text,
  likes int,
  tags list<text>,
  readers set<bigint>,
  attrs map<text, text>,
  origin frozen<place>,
  place place,
  sent_at timestamp,
  embedding vector<float, 3>,
  PRIMARY KEY ((room_key, bucket), message_id)
) WITH CLUSTERING ORDER BY (message_id DESC);

CREATE INDEX message_by_text ON sun_msg.message (text);
CREATE INDEX message_by_readers ON sun_msg.message (readers);
CREATE INDEX message_by_attrs_keys ON sun_msg.message (KEYS(attrs));
CREATE INDEX message_by_attrs ON sun_msg.message (VALUES(attrs));
CREATE INDEX message_by_attrs_entries ON sun_msg.message (ENTRIES(attrs));
CREATE CUSTOM INDEX message_by_likes ON sun_msg.message (likes) USING 'StorageAttachedIndex';
CREATE CUSTOM INDEX message_by_embedding ON sun_msg.message (embedding) USING 'StorageAttachedIndex';

CREATE TABLE sun_msg.visit (
  user_id bigint,
  day date,
  hour int,
  page text,
  seconds int,
  PRIMARY KEY (user_id, day, hour, page)
) WITH CLUSTERING ORDER BY (day DESC, hour ASC, page DESC);

CREATE TABLE sun_msg.tally (
  name text,
  slot int,
  hits counter,
  misses counter,
  total counter static,
  PRIMARY KEY (name, slot)
);

CREATE MATERIALIZED VIEW sun_msg.message_by_id AS
  SELECT message_id, room_key, bucket, text FROM sun_msg.message
  WHERE message_id IS NOT NULL AND room_key IS NOT NULL AND bucket IS NOT NULL
  PRIMARY KEY (message_id, room_key, bucket);
"""


# --- generated/cql/sun_msg/place.py ----------------------------------------------------------------------------------


class Place(cql.UserType, frozen=True):
    """A value of `sun_msg.place`."""

    name: str | None = None
    zip: int | None = None
    marks: tuple[int, ...] | None = None


PLACE: types.UserDefined[Place] = types.UserDefined(
    "sun_msg",
    "place",
    Place,
    (
        ("name", types.Text()),
        ("zip", types.Int()),
        ("marks", types.List(types.Int(), frozen=True)),
    ),
)


# --- generated/cql/sun_msg/message.py --------------------------------------------------------------------------------


class Message(cql.Row, frozen=True, gc=False):
    """A row of `sun_msg.message`."""

    room_key: str
    bucket: int
    message_id: int
    topic: str | None = None
    text: str | None = None
    likes: int | None = None
    tags: list[str] = msgspec.field(default_factory=list[str])
    readers: set[int] = msgspec.field(default_factory=set[int])
    attrs: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    origin: Place | None = None
    place: Place | None = None
    sent_at: datetime.datetime | None = None
    embedding: list[float] | None = None


if t.TYPE_CHECKING:

    class MessageValues(t.TypedDict, total=False):
        """What `MessageUpdate.set` takes."""

        text: str
        likes: int
        tags: list[str]
        readers: set[int]
        attrs: dict[str, str]
        origin: Place
        place: Place
        sent_at: datetime.datetime
        embedding: list[float]

    class MessageLists(t.TypedDict, total=False):
        """What `MessageUpdate.append` and `prepend` take."""

        tags: list[str]

    class MessageItems(t.TypedDict, total=False):
        """What `MessageUpdate.put_at` takes."""

        tags: dict[int, str]

    class MessageSets(t.TypedDict, total=False):
        """What `MessageUpdate.add` takes."""

        readers: set[int]

    class MessageMaps(t.TypedDict, total=False):
        """What `MessageUpdate.put` takes."""

        attrs: dict[str, str]

    class MessageParts(t.TypedDict, total=False):
        """What `MessageUpdate.discard` takes."""

        tags: list[str]
        readers: set[int]
        attrs: set[str]

    class MessagePlace(t.TypedDict, total=False):
        """What `MessageUpdate.set_place` takes."""

        name: str
        zip: int
        marks: tuple[int, ...]

    class MessageStaticValues(t.TypedDict, total=False):
        """What `MessageStaticUpdate.set` takes."""

        topic: str


class MessageUpdate(cql.Update[Message]):
    """A change of one row; say what changes."""

    __slots__ = ()

    def set(self, **values: t.Unpack[MessageValues]) -> t.Self:
        """Give columns these values; `cql.NULL` deletes what they hold."""
        return self._set(values)

    def append(self, **lists: t.Unpack[MessageLists]) -> t.Self:
        """Add items behind those of lists."""
        return self._append(lists)

    def prepend(self, **lists: t.Unpack[MessageLists]) -> t.Self:
        """Add items before those of lists."""
        return self._prepend(lists)

    def put_at(self, **items: t.Unpack[MessageItems]) -> t.Self:
        """Replace items of lists by their index; `cql.NULL` takes one out."""
        return self._put_at(items)

    def add(self, **sets: t.Unpack[MessageSets]) -> t.Self:
        """Add elements to sets."""
        return self._add(sets)

    def put(self, **maps: t.Unpack[MessageMaps]) -> t.Self:
        """Put entries into maps; `cql.NULL` deletes one."""
        return self._put(maps)

    def discard(self, **parts: t.Unpack[MessageParts]) -> t.Self:
        """Take items out of lists, elements out of sets, entries out of maps by their keys."""
        return self._discard(parts)

    def set_place(self, **fields: t.Unpack[MessagePlace]) -> t.Self:
        """Give fields of `place` these values; `cql.NULL` deletes one."""
        return self._set_fields("place", fields)


class MessageStaticUpdate(cql.Update[Message]):
    """A change of the static columns of one partition; say what changes."""

    __slots__ = ()

    def set(self, **values: t.Unpack[MessageStaticValues]) -> t.Self:
        """Give columns these values; `cql.NULL` deletes what they hold."""
        return self._set(values)


class MessageDao(cql.WritableDao[Message]):
    """Access to `sun_msg.message`. Each method returns a value that a Database runs."""

    room_key: cql.KeyColumn[Message, str] = cql.KeyColumn("room_key", types.Text(), "partition")
    bucket: cql.KeyColumn[Message, int] = cql.KeyColumn("bucket", types.Int(), "partition")
    message_id: cql.KeyColumn[Message, int] = cql.KeyColumn("message_id", types.BigInt(), "clustering", descending=True)
    topic: cql.Column[Message, str] = cql.Column("topic", types.Text(), "static")
    text: cql.Column[Message, str] = cql.Column("text", types.Text())
    likes: cql.Column[Message, int] = cql.Column("likes", types.Int())
    tags: cql.CollectionColumn[Message, list[str]] = cql.CollectionColumn("tags", types.List(types.Text()))
    readers: cql.CollectionColumn[Message, set[int]] = cql.CollectionColumn("readers", types.Set(types.BigInt()))
    attrs: cql.CollectionColumn[Message, dict[str, str]] = cql.CollectionColumn(
        "attrs", types.Map(types.Text(), types.Text())
    )
    origin: cql.Column[Message, Place] = cql.Column("origin", PLACE.as_frozen())
    place: cql.Column[Message, Place] = cql.Column("place", PLACE)
    sent_at: cql.Column[Message, datetime.datetime] = cql.Column("sent_at", types.Timestamp())
    embedding: cql.Column[Message, list[float]] = cql.Column("embedding", types.Vector(types.Float(), 3))

    table = cql.Table(
        "sun_msg",
        "message",
        Message,
        [
            room_key,
            bucket,
            message_id,
            topic,
            text,
            likes,
            tags,
            readers,
            attrs,
            origin,
            place,
            sent_at,
            embedding,
        ],
        partition_key=[room_key, bucket],
        clustering=[message_id],
        indexes=[
            cql.Index("message_by_text", text),
            cql.Index("message_by_readers", readers, "values"),
            cql.Index("message_by_attrs_keys", attrs, "keys"),
            cql.Index("message_by_attrs", attrs, "values"),
            cql.Index("message_by_attrs_entries", attrs, "entries"),
            cql.Index("message_by_likes", likes, sai=True),
            cql.Index("message_by_embedding", embedding, sai=True),
        ],
    )

    _key = cql.Key(table)
    _by_text = cql.Lookup(table, text)
    _by_readers = cql.Lookup(table, readers)
    _by_attrs_keys = cql.Lookup(table, attrs)
    _by_attrs = cql.Lookup(table, attrs)
    _by_attrs_entries = cql.Lookup(table, attrs)
    _by_likes = cql.Lookup(table, likes)
    _nearest_embedding = cql.Lookup(table, embedding)

    @classmethod
    def get(cls, *, room_key: str, bucket: int, message_id: int) -> cql.Get[Message]:
        """The row of this key. Generated from PRIMARY KEY ((room_key, bucket), message_id)."""
        return cls._key.get(room_key, bucket, message_id)

    @classmethod
    def get_many(cls, keys: t.Iterable[tuple[str, int, int]]) -> cql.Query[dict[tuple[str, int, int], Message]]:
        """The rows of these keys, by key; a key without a row is left out. Each is read on its own, side by side.

        Generated from PRIMARY KEY ((room_key, bucket), message_id).
        """
        return cls._key.get_many(keys)

    @classmethod
    def get_in(cls, *, room_key: str, bucket: int, message_id: t.Iterable[int]) -> cql.Slice[Message]:
        """The rows of one partition whose `message_id` is one of these.

        Generated from PRIMARY KEY ((room_key, bucket), message_id).
        """
        return cls._key.get_in((room_key, bucket), message_id)

    @classmethod
    def slice(
        cls,
        *,
        room_key: str,
        bucket: int,
        after: int | None = None,
        before: int | None = None,
        at_least: int | None = None,
        at_most: int | None = None,
        limit: int | None = None,
    ) -> cql.Slice[Message]:
        """Rows of one partition by `message_id`, the greatest first: see `cql.Key.slice`.

        Generated from PRIMARY KEY ((room_key, bucket), message_id).
        """
        return cls._key.slice((room_key, bucket), after, before, at_least, at_most, limit)

    @classmethod
    def slice_in(cls, *, room_key: str, bucket: t.Iterable[int], limit: int | None = None) -> cql.Found[Message]:
        """Rows of the partitions whose `bucket` is one of these.

        Generated from PRIMARY KEY ((room_key, bucket), message_id).
        """
        return cls._key.slice_in((room_key,), bucket, limit)

    @classmethod
    def partitions(cls, tokens: cql.TokenRange | None = None) -> cql.Pages[tuple[str, int]]:
        """The key of each partition, of the whole table or a range of tokens."""
        return cls._key.partitions(tokens)

    @classmethod
    def by_text(cls, text: str) -> cql.Found[Message]:
        """Rows of this `text`. Generated from INDEX message_by_text (text)."""
        return cls._by_text.equal(text)

    @classmethod
    def by_readers(cls, value: int) -> cql.Found[Message]:
        """Rows whose `readers` have this element. Generated from INDEX message_by_readers (VALUES(readers))."""
        return cls._by_readers.containing(value)

    @classmethod
    def by_attrs_keys(cls, key: str) -> cql.Found[Message]:
        """Rows whose `attrs` have this key. Generated from INDEX message_by_attrs_keys (KEYS(attrs))."""
        return cls._by_attrs_keys.containing_key(key)

    @classmethod
    def by_attrs(cls, value: str) -> cql.Found[Message]:
        """Rows whose `attrs` have this value. Generated from INDEX message_by_attrs (VALUES(attrs))."""
        return cls._by_attrs.containing(value)

    @classmethod
    def by_attrs_entries(cls, key: str, value: str) -> cql.Found[Message]:
        """Rows whose `attrs` have this entry. Generated from INDEX message_by_attrs_entries (ENTRIES(attrs))."""
        return cls._by_attrs_entries.containing_entry(key, value)

    @classmethod
    def by_likes(
        cls,
        likes: int | None = None,
        *,
        after: int | None = None,
        before: int | None = None,
        at_least: int | None = None,
        at_most: int | None = None,
    ) -> cql.Found[Message]:
        """Rows of this `likes`, or between bounds: see `cql.Lookup.between`.

        Generated from INDEX message_by_likes (likes).
        """
        return cls._by_likes.between(likes, after, before, at_least, at_most)

    @classmethod
    def nearest_embedding(cls, embedding: list[float], limit: int) -> cql.Rows[Message]:
        """The rows whose `embedding` is nearest to this one, the nearest first.

        Generated from INDEX message_by_embedding (embedding).
        """
        return cls._nearest_embedding.nearest(embedding, limit)

    @classmethod
    def update(cls, *, room_key: str, bucket: int, message_id: int) -> MessageUpdate:
        """Change the row of this key. Generated from PRIMARY KEY ((room_key, bucket), message_id)."""
        return MessageUpdate(cls._key.row, (room_key, bucket, message_id))

    @classmethod
    def update_static(cls, *, room_key: str, bucket: int) -> MessageStaticUpdate:
        """Change the static columns of this partition. Generated from PRIMARY KEY ((room_key, bucket), message_id)."""
        return MessageStaticUpdate(cls._key.partition, (room_key, bucket))

    @classmethod
    def delete(cls, *, room_key: str, bucket: int, message_id: int) -> cql.Delete[Message]:
        """Delete the row of this key. Generated from PRIMARY KEY ((room_key, bucket), message_id)."""
        return cls._key.delete(room_key, bucket, message_id)

    @classmethod
    def delete_slice(
        cls,
        *,
        room_key: str,
        bucket: int,
        after: int | None = None,
        before: int | None = None,
        at_least: int | None = None,
        at_most: int | None = None,
    ) -> cql.RangeDelete[Message]:
        """Delete rows of one partition by `message_id`: see `cql.Key.delete_slice`.

        Generated from PRIMARY KEY ((room_key, bucket), message_id).
        """
        return cls._key.delete_slice((room_key, bucket), after, before, at_least, at_most)

    @classmethod
    def delete_partition(cls, *, room_key: str, bucket: int) -> cql.RangeDelete[Message]:
        """Delete a whole partition. Generated from PRIMARY KEY ((room_key, bucket), message_id)."""
        return cls._key.delete_partition(room_key, bucket)


# --- generated/cql/sun_msg/visit.py ----------------------------------------------------------------------------------


class Visit(cql.Row, frozen=True, gc=False):
    """A row of `sun_msg.visit`."""

    user_id: int
    day: datetime.date
    hour: int
    page: str
    seconds: int | None = None


if t.TYPE_CHECKING:

    class VisitValues(t.TypedDict, total=False):
        """What `VisitUpdate.set` takes."""

        seconds: int


class VisitUpdate(cql.Update[Visit]):
    """A change of one row; say what changes."""

    __slots__ = ()

    def set(self, **values: t.Unpack[VisitValues]) -> t.Self:
        """Give columns these values; `cql.NULL` deletes what they hold."""
        return self._set(values)


class VisitDao(cql.WritableDao[Visit]):
    """Access to `sun_msg.visit`. Each method returns a value that a Database runs."""

    user_id: cql.KeyColumn[Visit, int] = cql.KeyColumn("user_id", types.BigInt(), "partition")
    day: cql.KeyColumn[Visit, datetime.date] = cql.KeyColumn("day", types.Date(), "clustering", descending=True)
    hour: cql.KeyColumn[Visit, int] = cql.KeyColumn("hour", types.Int(), "clustering")
    page: cql.KeyColumn[Visit, str] = cql.KeyColumn("page", types.Text(), "clustering", descending=True)
    seconds: cql.Column[Visit, int] = cql.Column("seconds", types.Int())

    table = cql.Table(
        "sun_msg",
        "visit",
        Visit,
        [
            user_id,
            day,
            hour,
            page,
            seconds,
        ],
        partition_key=[user_id],
        clustering=[day, hour, page],
    )

    _key = cql.Key(table)

    @classmethod
    def get(cls, *, user_id: int, day: datetime.date, hour: int, page: str) -> cql.Get[Visit]:
        """The row of this key. Generated from PRIMARY KEY (user_id, day, hour, page)."""
        return cls._key.get(user_id, day, hour, page)

    @classmethod
    def get_many(
        cls, keys: t.Iterable[tuple[int, datetime.date, int, str]]
    ) -> cql.Query[dict[tuple[int, datetime.date, int, str], Visit]]:
        """The rows of these keys, by key; a key without a row is left out. Each is read on its own, side by side.

        Generated from PRIMARY KEY (user_id, day, hour, page).
        """
        return cls._key.get_many(keys)

    @classmethod
    def get_in(cls, *, user_id: int, day: datetime.date, hour: int, page: t.Iterable[str]) -> cql.Slice[Visit]:
        """The rows of one partition whose `page` is one of these.

        Generated from PRIMARY KEY (user_id, day, hour, page).
        """
        return cls._key.get_in((user_id, day, hour), page)

    @t.overload
    @classmethod
    def slice(
        cls,
        *,
        user_id: int,
        after: datetime.date | tuple[datetime.date, int] | tuple[datetime.date, int, str] | None = None,
        before: datetime.date | tuple[datetime.date, int] | tuple[datetime.date, int, str] | None = None,
        at_least: datetime.date | tuple[datetime.date, int] | tuple[datetime.date, int, str] | None = None,
        at_most: datetime.date | tuple[datetime.date, int] | tuple[datetime.date, int, str] | None = None,
        limit: int | None = None,
    ) -> cql.Slice[Visit]: ...

    @t.overload
    @classmethod
    def slice(
        cls,
        *,
        user_id: int,
        day: datetime.date,
        after: int | tuple[int, str] | None = None,
        before: int | tuple[int, str] | None = None,
        at_least: int | tuple[int, str] | None = None,
        at_most: int | tuple[int, str] | None = None,
        limit: int | None = None,
    ) -> cql.Slice[Visit]: ...

    @t.overload
    @classmethod
    def slice(
        cls,
        *,
        user_id: int,
        day: datetime.date,
        hour: int,
        after: str | None = None,
        before: str | None = None,
        at_least: str | None = None,
        at_most: str | None = None,
        limit: int | None = None,
    ) -> cql.Slice[Visit]: ...

    @classmethod
    def slice(
        cls,
        *,
        user_id: int,
        day: datetime.date | None = None,
        hour: int | None = None,
        after: t.Any = None,
        before: t.Any = None,
        at_least: t.Any = None,
        at_most: t.Any = None,
        limit: int | None = None,
    ) -> cql.Slice[Visit]:
        """Rows of one partition by `day` DESC, `hour`, `page` DESC, or some of them: see `cql.Key.slice`.

        Generated from PRIMARY KEY (user_id, day, hour, page).
        """
        return cls._key.slice((user_id, day, hour), after, before, at_least, at_most, limit)

    @classmethod
    def slice_in(cls, *, user_id: t.Iterable[int], limit: int | None = None) -> cql.Found[Visit]:
        """Rows of the partitions whose `user_id` is one of these.

        Generated from PRIMARY KEY (user_id, day, hour, page).
        """
        return cls._key.slice_in((), user_id, limit)

    @classmethod
    def partitions(cls, tokens: cql.TokenRange | None = None) -> cql.Pages[int]:
        """The key of each partition, of the whole table or a range of tokens."""
        return cls._key.partitions(tokens)

    @classmethod
    def update(cls, *, user_id: int, day: datetime.date, hour: int, page: str) -> VisitUpdate:
        """Change the row of this key. Generated from PRIMARY KEY (user_id, day, hour, page)."""
        return VisitUpdate(cls._key.row, (user_id, day, hour, page))

    @classmethod
    def delete(cls, *, user_id: int, day: datetime.date, hour: int, page: str) -> cql.Delete[Visit]:
        """Delete the row of this key. Generated from PRIMARY KEY (user_id, day, hour, page)."""
        return cls._key.delete(user_id, day, hour, page)

    @t.overload
    @classmethod
    def delete_slice(
        cls,
        *,
        user_id: int,
        after: datetime.date | tuple[datetime.date, int] | tuple[datetime.date, int, str] | None = None,
        before: datetime.date | tuple[datetime.date, int] | tuple[datetime.date, int, str] | None = None,
        at_least: datetime.date | tuple[datetime.date, int] | tuple[datetime.date, int, str] | None = None,
        at_most: datetime.date | tuple[datetime.date, int] | tuple[datetime.date, int, str] | None = None,
    ) -> cql.RangeDelete[Visit]: ...

    @t.overload
    @classmethod
    def delete_slice(
        cls,
        *,
        user_id: int,
        day: datetime.date,
        after: int | tuple[int, str] | None = None,
        before: int | tuple[int, str] | None = None,
        at_least: int | tuple[int, str] | None = None,
        at_most: int | tuple[int, str] | None = None,
    ) -> cql.RangeDelete[Visit]: ...

    @t.overload
    @classmethod
    def delete_slice(
        cls,
        *,
        user_id: int,
        day: datetime.date,
        hour: int,
        after: str | None = None,
        before: str | None = None,
        at_least: str | None = None,
        at_most: str | None = None,
    ) -> cql.RangeDelete[Visit]: ...

    @classmethod
    def delete_slice(
        cls,
        *,
        user_id: int,
        day: datetime.date | None = None,
        hour: int | None = None,
        after: t.Any = None,
        before: t.Any = None,
        at_least: t.Any = None,
        at_most: t.Any = None,
    ) -> cql.RangeDelete[Visit]:
        """Delete rows of one partition, by the first clustering columns or bounds: see `cql.Key.delete_slice`.

        Generated from PRIMARY KEY (user_id, day, hour, page).
        """
        return cls._key.delete_slice((user_id, day, hour), after, before, at_least, at_most)

    @classmethod
    def delete_partition(cls, *, user_id: int) -> cql.RangeDelete[Visit]:
        """Delete a whole partition. Generated from PRIMARY KEY (user_id, day, hour, page)."""
        return cls._key.delete_partition(user_id)


# --- generated/cql/sun_msg/tally.py ----------------------------------------------------------------------------------


class Tally(cql.Row, frozen=True, gc=False):
    """A row of `sun_msg.tally`."""

    name: str
    slot: int
    hits: int | None = None
    misses: int | None = None
    total: int | None = None


if t.TYPE_CHECKING:

    class TallyAmounts(t.TypedDict, total=False):
        """What `TallyDao.increment` takes."""

        hits: int
        misses: int

    class TallyStaticAmounts(t.TypedDict, total=False):
        """What `TallyDao.increment_static` takes."""

        total: int


class TallyDao(cql.Dao[Tally]):
    """Access to `sun_msg.tally`. Each method returns a value that a Database runs."""

    name: cql.KeyColumn[Tally, str] = cql.KeyColumn("name", types.Text(), "partition")
    slot: cql.KeyColumn[Tally, int] = cql.KeyColumn("slot", types.Int(), "clustering")
    hits: cql.Column[Tally, int] = cql.Column("hits", types.Counter())
    misses: cql.Column[Tally, int] = cql.Column("misses", types.Counter())
    total: cql.Column[Tally, int] = cql.Column("total", types.Counter(), "static")

    table = cql.Table(
        "sun_msg",
        "tally",
        Tally,
        [
            name,
            slot,
            hits,
            misses,
            total,
        ],
        partition_key=[name],
        clustering=[slot],
    )

    _key = cql.Key(table)

    @classmethod
    def get(cls, *, name: str, slot: int) -> cql.Get[Tally]:
        """The row of this key. Generated from PRIMARY KEY (name, slot)."""
        return cls._key.get(name, slot)

    @classmethod
    def get_many(cls, keys: t.Iterable[tuple[str, int]]) -> cql.Query[dict[tuple[str, int], Tally]]:
        """The rows of these keys, by key; a key without a row is left out. Each is read on its own, side by side.

        Generated from PRIMARY KEY (name, slot).
        """
        return cls._key.get_many(keys)

    @classmethod
    def increment(cls, *, name: str, slot: int, **amounts: t.Unpack[TallyAmounts]) -> cql.Increment[Tally]:
        """Add to counters of the row of this key, which begin at 0. Generated from PRIMARY KEY (name, slot)."""
        return cls._key.increment((name, slot), amounts)

    @classmethod
    def increment_static(cls, *, name: str, **amounts: t.Unpack[TallyStaticAmounts]) -> cql.Increment[Tally]:
        """Add to static counters of this partition, which begin at 0. Generated from PRIMARY KEY (name, slot)."""
        return cls._key.increment_static((name,), amounts)

    @classmethod
    def delete(cls, *, name: str, slot: int) -> cql.Delete[Tally]:
        """Delete the row of this key. Generated from PRIMARY KEY (name, slot)."""
        return cls._key.delete(name, slot)


# --- generated/cql/sun_msg/message_by_id.py --------------------------------------------------------------------------


class MessageById(cql.Row, frozen=True, gc=False):
    """A row of `sun_msg.message_by_id`."""

    message_id: int
    room_key: str
    bucket: int
    text: str | None = None


class MessageByIdDao(cql.Dao[MessageById]):
    """Access to `sun_msg.message_by_id`. Each method returns a value that a Database runs."""

    message_id: cql.KeyColumn[MessageById, int] = cql.KeyColumn("message_id", types.BigInt(), "partition")
    room_key: cql.KeyColumn[MessageById, str] = cql.KeyColumn("room_key", types.Text(), "clustering")
    bucket: cql.KeyColumn[MessageById, int] = cql.KeyColumn("bucket", types.Int(), "clustering")
    text: cql.Column[MessageById, str] = cql.Column("text", types.Text())

    table = cql.Table(
        "sun_msg",
        "message_by_id",
        MessageById,
        [
            message_id,
            room_key,
            bucket,
            text,
        ],
        partition_key=[message_id],
        clustering=[room_key, bucket],
        view=cql.View(MessageDao.table, ("message_id", "room_key", "bucket")),
    )

    _key = cql.Key(table)

    @classmethod
    def get(cls, *, message_id: int, room_key: str, bucket: int) -> cql.Get[MessageById]:
        """The row of this key. Generated from PRIMARY KEY (message_id, room_key, bucket)."""
        return cls._key.get(message_id, room_key, bucket)

    @t.overload
    @classmethod
    def slice(
        cls,
        *,
        message_id: int,
        after: str | tuple[str, int] | None = None,
        before: str | tuple[str, int] | None = None,
        at_least: str | tuple[str, int] | None = None,
        at_most: str | tuple[str, int] | None = None,
        limit: int | None = None,
    ) -> cql.Slice[MessageById]: ...

    @t.overload
    @classmethod
    def slice(
        cls,
        *,
        message_id: int,
        room_key: str,
        after: int | None = None,
        before: int | None = None,
        at_least: int | None = None,
        at_most: int | None = None,
        limit: int | None = None,
    ) -> cql.Slice[MessageById]: ...

    @classmethod
    def slice(
        cls,
        *,
        message_id: int,
        room_key: str | None = None,
        after: t.Any = None,
        before: t.Any = None,
        at_least: t.Any = None,
        at_most: t.Any = None,
        limit: int | None = None,
    ) -> cql.Slice[MessageById]:
        """Rows of one partition by `room_key`, `bucket`, or some of them: see `cql.Key.slice`.

        Generated from PRIMARY KEY (message_id, room_key, bucket).
        """
        return cls._key.slice((message_id, room_key), after, before, at_least, at_most, limit)
