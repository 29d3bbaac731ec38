"""Uses of a keyspace's DAO that a type checker must refuse. Never run: tests/typing/test_typing.py reads what pyright
says of it.

A line that must be refused ends with `# error: ` and pyright's rule.
"""

from __future__ import annotations

from typing import assert_type

from generated.cql.sun_file import ManifestDao
from generated.cql.sun_msg import Forwarded, Message, MessageBucketDao, MessageDao, MessageViews, MessageViewsDao
from runtime import cql
from runtime.cql.statements import Outcome


def accepted() -> None:
    got = MessageDao.get(room_key="d1_2", bucket=1, message_id=5)
    assert_type(got, cql.Get[Message])
    assert_type(got.resolve().read(outcome()), Message | None)
    assert_type(got.value(MessageDao.text), cql.Query[str | None])
    assert_type(MessageDao.get_many([("d1_2", 1, 5)]).resolve().read(outcome()), dict[tuple[str, int, int], Message])
    assert_type(ManifestDao.get_many([b"x"]).resolve().read(outcome()).popitem()[0], bytes)
    rows = MessageDao.slice(room_key="d1_2", bucket=1, before=5, limit=50)
    assert_type(rows.resolve().read(outcome()), list[Message])
    assert_type(rows.reversed().per_partition(1).first(), cql.Query[Message | None])
    chosen = rows.select(MessageDao.message_id, MessageDao.text, MessageDao.text.writetime())
    assert_type(chosen.resolve().read(outcome()), list[tuple[int, str | None, int | None]])
    assert_type(MessageDao.partitions().resolve().read(outcome()), list[tuple[str, int]])
    assert_type(ManifestDao.partitions().resolve().read(outcome()), list[bytes])
    message = Message("d1_2", 1, 5, text="hi", forwarded_from=Forwarded(user_id=7))
    assert_type(MessageDao.insert(message, ttl=60), cql.Insert[Message])
    assert_type(MessageDao.insert(message, if_not_exists=True).resolve().read(outcome()), cql.Applied[Message])
    update = MessageDao.update(room_key="d1_2", bucket=1, message_id=5).set(text=cql.NULL, seen_ms=1).ttl(60)
    assert_type(update.if_(MessageDao.seen_ms == None), cql.Conditional[Message])  # noqa: E711
    counted = MessageViewsDao.increment(room_key="d1_2", bucket=1, message_id=5, views=1)
    assert_type(counted, cql.Increment[MessageViews])


def outcome() -> Outcome:
    raise NotImplementedError


def rejected() -> None:
    MessageDao.get(room_key="d1_2", message_id=5)  # error: reportCallIssue
    MessageDao.get("d1_2", 1, 5)  # error: reportCallIssue
    MessageDao.get(room_key="d1_2", bucket=1, message_id="5")  # error: reportArgumentType
    MessageDao.get_many([1])  # error: reportArgumentType
    MessageDao.slice(room_key="d1_2")  # error: reportCallIssue
    MessageDao.slice(room_key="d1_2", bucket=1, after="x")  # error: reportArgumentType
    MessageDao.slice(room_key="d1_2", bucket=1, user_id=5)  # error: reportCallIssue
    MessageDao.slice_in(room_key=["d1_2"], bucket=1)  # error: reportArgumentType
    MessageDao.slice_in(room_key="d1_2", bucket=[1]).reversed()  # error: reportAttributeAccessIssue
    MessageDao.update(room_key="d1_2", bucket=1, message_id=5).set(message_id=6)  # error: reportCallIssue
    MessageDao.update(room_key="d1_2", bucket=1, message_id=5).set(text=None)  # error: reportArgumentType
    MessageDao.update(room_key="d1_2", bucket=1, message_id=5).append(text="x")  # error: reportAttributeAccessIssue
    MessageDao.update(room_key="d1_2", bucket=1, message_id=5).if_("text = 1")  # error: reportArgumentType
    MessageDao.update(room_key="d1_2", bucket=1)  # error: reportCallIssue
    MessageDao.insert(Forwarded())  # error: reportArgumentType
    MessageDao.insert_many([Forwarded()])  # error: reportArgumentType
    MessageDao.delete(room_key="d1_2", bucket=1)  # error: reportCallIssue
    MessageDao.scan().allow_filtering(MessageBucketDao.bucket == 1)  # error: reportArgumentType
    MessageDao.scan().values(MessageBucketDao.bucket)  # error: reportArgumentType
    MessageDao.increment  # error: reportAttributeAccessIssue
    MessageViewsDao.insert  # error: reportAttributeAccessIssue
    MessageViewsDao.update  # error: reportAttributeAccessIssue
    MessageViewsDao.increment(room_key="d1_2", bucket=1, message_id=5, views=1.5)  # error: reportArgumentType
    ManifestDao.slice  # error: reportAttributeAccessIssue
    ManifestDao.delete_partition  # error: reportAttributeAccessIssue
