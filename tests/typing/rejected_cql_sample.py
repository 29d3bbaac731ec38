"""Uses of a DAO of CQL that a type checker must refuse. Never run: tests/typing/test_typing.py reads what pyright says.

A line that must be refused ends with `# error: ` and pyright's rule.
"""

from __future__ import annotations

import datetime
from typing import assert_type

from runtime import cql
from tests.cql.sample_tables import (
    Message,
    MessageById,
    MessageByIdDao,
    MessageDao,
    Place,
    TallyDao,
    Visit,
    VisitDao,
)

DAY = datetime.date(2026, 1, 2)


def accepted() -> None:
    assert_type(MessageDao.get(room_key="r", bucket=1, message_id=2), cql.Get[Message])
    one: cql.Query[Message | None] = MessageDao.get(room_key="r", bucket=1, message_id=2)
    several: cql.Pages[Message] = MessageDao.slice(room_key="r", bucket=1, before=9).reversed().limit(5)
    print(one, several)
    rows = MessageDao.slice(room_key="r", bucket=1)
    assert_type(rows.options(consistency="ONE").limit(3), cql.Slice[Message])
    assert_type(rows.first(), cql.Query[Message | None])
    assert_type(rows.count(), cql.Query[int])
    assert_type(rows.values(MessageDao.text), cql.Pages[str | None])
    assert_type(rows.values(MessageDao.tags), cql.Pages[list[str]])
    chosen = rows.select(MessageDao.message_id, MessageDao.text.writetime(), MessageDao.origin)
    assert_type(chosen, cql.Pages[tuple[int, int | None, Place | None]])
    assert_type(MessageDao.partitions(), cql.Pages[tuple[str, int]])
    assert_type(VisitDao.partitions(), cql.Pages[int])
    assert_type(MessageDao.scan(cql.token_ranges(4)[0]), cql.Scan[Message])
    assert_type(VisitDao.slice(user_id=1, day=DAY, after=(3, "x")), cql.Slice[Visit])
    row = Message("r", 1, 2, text=cql.NULL)
    assert_type(MessageDao.insert(row, ttl=5), cql.Insert[Message])
    assert_type(MessageDao.insert(row, if_not_exists=True), cql.Conditional[Message])
    update = MessageDao.update(room_key="r", bucket=1, message_id=2).set(text="x").append(tags=["a"]).ttl(5)
    guarded = update.if_(MessageDao.text.is_null(), MessageDao.tags.contains("a"), MessageDao.attrs.entry("k") == "v")
    assert_type(guarded, cql.Conditional[Message])
    written: cql.Query[cql.Applied[Message]] = guarded
    assert_type(cql.batch([update, MessageDao.delete(room_key="r", bucket=1, message_id=2)]), cql.Query[None])
    assert_type(cql.batch([update, written]), cql.Query[cql.Applied[Message]])
    assert_type(MessageByIdDao.get(message_id=1, room_key="r", bucket=1), cql.Get[MessageById])


def told(applied: cql.Applied[Message]) -> None:
    assert_type(applied.row, Message | None)
    assert_type(applied.value(MessageDao.text), str | None)
    applied.value(VisitDao.seconds)  # error: reportArgumentType


def rejected() -> None:
    MessageDao.get(room_key="r", bucket="1", message_id=2)  # error: reportArgumentType
    MessageDao.get(room_key="r", bucket=1)  # error: reportCallIssue
    MessageDao.get("r", 1, 2)  # error: reportCallIssue
    MessageDao.get_many([("r", 1)])  # error: reportArgumentType
    MessageDao.get_in(room_key="r", bucket=1, message_id=["x"])  # error: reportArgumentType
    MessageDao.slice(room_key="r")  # error: reportCallIssue
    MessageDao.slice(room_key="r", bucket=1, before="x")  # error: reportArgumentType
    VisitDao.slice(user_id=1, hour=3)  # error: reportCallIssue
    VisitDao.slice(user_id=1, day=DAY, after=(3, "x", 5))  # error: reportArgumentType
    VisitDao.slice(user_id=1, after=3)  # error: reportArgumentType
    VisitDao.slice_in(user_id=[1]).reversed()  # error: reportAttributeAccessIssue
    MessageDao.by_text("x").reversed()  # error: reportAttributeAccessIssue
    MessageDao.nearest_embedding([1.0], 5).limit(3)  # error: reportAttributeAccessIssue
    MessageDao.slice(room_key="r", bucket=1).allow_filtering(VisitDao.seconds == 5)  # error: reportArgumentType
    MessageDao.slice(room_key="r", bucket=1).values(VisitDao.seconds)  # error: reportArgumentType
    MessageDao.slice(room_key="r", bucket=1).options(consistency="MOST")  # error: reportArgumentType
    print(MessageDao.likes > None)  # error: reportOperatorIssue
    MessageDao.text.contains("x")  # error: reportAttributeAccessIssue
    MessageDao.tags.contains(5)  # error: reportArgumentType
    MessageDao.tags.contains_key("x")  # error: reportAttributeAccessIssue
    MessageDao.bucket.writetime()  # error: reportAttributeAccessIssue
    MessageDao.tags.writetime()  # error: reportAttributeAccessIssue
    update = MessageDao.update(room_key="r", bucket=1, message_id=2)
    update.set(bucket=5)  # error: reportCallIssue
    update.set(topic="static")  # error: reportCallIssue
    update.set(text=5)  # error: reportArgumentType
    update.set(text=None)  # error: reportArgumentType
    update.append(text=["x"])  # error: reportCallIssue
    update.append(tags=[5])  # error: reportArgumentType
    update.put_at(tags={"x": "y"})  # error: reportArgumentType
    update.set_place(nonsense=5)  # error: reportCallIssue
    update.set(text="x").if_(MessageDao.text == 5)  # error: reportArgumentType
    update.set(text="x").if_(VisitDao.seconds == 5)  # error: reportArgumentType
    MessageDao.update_static(room_key="r", bucket=1).set(text="x")  # error: reportCallIssue
    MessageDao.delete(room_key="r", bucket=1)  # error: reportCallIssue
    MessageDao.delete_partition(room_key="r", bucket=1).if_exists()  # error: reportAttributeAccessIssue
    MessageDao.insert(Visit(1, DAY, 2, "x"))  # error: reportArgumentType
    MessageDao.insert(Message("r", 1, 2), timestamp=5, if_not_exists=True)  # error: reportCallIssue
    TallyDao.increment(name="n", slot=1, nonsense=5)  # error: reportCallIssue
    TallyDao.increment(name="n", slot=1, hits=0.5)  # error: reportArgumentType
    TallyDao.increment(name="n", slot=1, hits=1).ttl(5)  # error: reportAttributeAccessIssue
    TallyDao.insert(5)  # error: reportAttributeAccessIssue
    MessageDao.increment(likes=1)  # error: reportAttributeAccessIssue
    MessageByIdDao.insert(MessageById(1, "r", 1))  # error: reportAttributeAccessIssue
    cql.counter_batch([MessageDao.get(room_key="r", bucket=1, message_id=2)])  # error: reportArgumentType
    message = Message("r", 1, 2)
    message.text = "rows never change"  # error: reportAttributeAccessIssue
    Message("r", 1)  # error: reportCallIssue
