"""SocialService: posts. What a post touches beside its own row, `handlers.post_places` keeps."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import msgspec

from generated.proto.sun.v1.enums_pb2 import POST_TYPE_TEXT, PRIVACY_ALL
from generated.proto.sun.v1.social_pb2 import (
    AddPostRequest,
    AddPostResponse,
    ArchivePostRequest,
    ArchivePostResponse,
    DeletePostRequest,
    DeletePostResponse,
    EditPostRequest,
    EditPostResponse,
    GetPostRequest,
    GetPostResponse,
    ListNewestPostsRequest,
    ListNewestPostsResponse,
    ListUserPostsRequest,
    ListUserPostsResponse,
)
from generated.rpc.sun.v1.errors import NotPostOwner, PostNotFound, ProfilePrivate, UserNotFound
from generated.rpc.sun.v1.social import SocialService
from generated.sql.sun import (
    Post,
    PostDao,
    PostDeleted,
    PostDeletedDao,
    PostKey,
    PostKeyDao,
    PostLinkDao,
    PostMediaDao,
    PostPromotedDao,
    User,
    UserDao,
)
from handlers import post_places
from handlers.privacy import Sight, look
from handlers.views import post_view
from runtime.ids import Clock, IdGenerator
from runtime.rpc.context import Context
from runtime.rpc.errors import Code, RpcError
from runtime.sql.database import Database, Runner, Transaction

PAGE = 20
"""Posts of a page where the caller names no number."""


def new_post_key() -> str:
    """72 random bits as 12 characters: links can't be guessed from one another."""
    return secrets.token_urlsafe(9)


class SocialHandler(SocialService):
    def __init__(self, db: Database, ids: IdGenerator, clock: Clock) -> None:
        self._db = db
        self._ids = ids
        self._clock = clock

    async def add_post(self, request: AddPostRequest, ctx: Context) -> AddPostResponse:
        now_ms, post_id = self._clock(), self._ids.next()

        async def add(tx: Transaction) -> tuple[Post, User]:
            # The author's row first: it is held from here on, so numbers are dense.
            counted = UserDao.update(UserDao.user_id == ctx.user_id).increment(posts=1, post_seq=1)
            await tx.run(counted.set(last_post_ms=now_ms))
            author = await _account(tx, ctx.user_id)
            post = Post(
                post_id=post_id,
                user_id=author.user_id,
                post_key=await self._take_key(tx, post_id, now_ms),
                post_type=POST_TYPE_TEXT,
                text=request.text,
                shared_to=PRIVACY_ALL,
                comments_disabled=request.comments_disabled,
                via=request.via,
                seq=author.post_seq,
                created_ms=now_ms,
            )
            await tx.run(PostDao.insert(post))
            await post_places.put(tx, self._ids, post)
            return post, author

        post, author = await self._db.transact(add)
        return AddPostResponse(post=post_view(post, author))

    async def _take_key(self, tx: Runner, post_id: int, now_ms: int) -> str:
        while True:
            key = new_post_key()
            if await tx.run(PostKeyDao.insert_if_absent(PostKey(post_key=key, post_id=post_id, created_ms=now_ms))):
                return key

    async def edit_post(self, request: EditPostRequest, ctx: Context) -> EditPostResponse:
        await self._refuse_others(request.post_id, ctx)
        now_ms = self._clock()

        async def edit(tx: Transaction) -> tuple[Post, User]:
            former = await _held(tx, request.post_id)
            post = former
            if request.text != former.text:
                post = msgspec.structs.replace(post, text=request.text, edited_ms=now_ms)
            if request.HasField("comments_disabled"):
                post = msgspec.structs.replace(post, comments_disabled=request.comments_disabled)
            if post != former:
                await tx.run(
                    PostDao.update(PostDao.post_id == post.post_id).set(
                        text=post.text, comments_disabled=post.comments_disabled, edited_ms=post.edited_ms
                    )
                )
            if post.text != former.text and not post.is_archived:
                await post_places.move(tx, self._ids, post)
            return post, await _account(tx, ctx.user_id)

        post, author = await self._db.transact(edit)
        return EditPostResponse(post=post_view(post, author))

    async def delete_post(self, request: DeletePostRequest, ctx: Context) -> DeletePostResponse:
        await self._refuse_others(request.post_id, ctx)
        now_ms = self._clock()

        async def delete(tx: Transaction) -> None:
            post = await _held(tx, request.post_id)
            await tx.run(PostDao.delete(post_id=post.post_id))
            mark = PostDeleted(post_id=post.post_id, user_id=post.user_id, deleted_by=ctx.user_id, deleted_ms=now_ms)
            await tx.run(PostDeletedDao.insert(mark))
            await tx.run(PostMediaDao.delete(PostMediaDao.post_id == post.post_id))
            await tx.run(PostLinkDao.delete(PostLinkDao.post_id == post.post_id))
            await tx.run(PostPromotedDao.delete(PostPromotedDao.post_id == post.post_id))
            if not post.is_archived:
                await tx.run(UserDao.update(UserDao.user_id == post.user_id).increment(posts=-1))
                await post_places.take(tx, post)

        await self._db.transact(delete)
        return DeletePostResponse()

    async def archive_post(self, request: ArchivePostRequest, ctx: Context) -> ArchivePostResponse:
        await self._refuse_others(request.post_id, ctx)

        async def archive(tx: Transaction) -> tuple[Post, User]:
            post = await _held(tx, request.post_id)
            if post.is_archived == request.archived:
                return post, await _account(tx, ctx.user_id)
            post = msgspec.structs.replace(post, is_archived=request.archived)
            await tx.run(PostDao.update(PostDao.post_id == post.post_id).set(is_archived=request.archived))
            step = -1 if request.archived else 1
            await tx.run(UserDao.update(UserDao.user_id == post.user_id).increment(posts=step))
            author = await _account(tx, ctx.user_id)
            if request.archived:
                await post_places.take(tx, post)
            else:
                await post_places.put(tx, self._ids, post)
            return post, author

        post, author = await self._db.transact(archive)
        return ArchivePostResponse(post=post_view(post, author))

    async def get_post(self, request: GetPostRequest, ctx: Context) -> GetPostResponse:
        post = await self._named(request)
        found = None if post is None else await self._seen(post, ctx)
        if post is None or found is None:
            raise PostNotFound
        return GetPostResponse(post=post_view(post, found))

    async def _named(self, request: GetPostRequest) -> Post | None:
        match request.WhichOneof("which"):
            case "post_id":
                return await self._db.run(PostDao.get(request.post_id))
            case "post_key":
                return await self._db.run(PostDao.by_post_key(request.post_key))
            case None:
                return None

    async def list_user_posts(self, request: ListUserPostsRequest, ctx: Context) -> ListUserPostsResponse:
        author = await self._db.run(UserDao.get(request.user_id))
        sight = await look(self._db, ctx.identity, [request.user_id])
        if author is None or not sight.knows(author):
            raise UserNotFound
        if not sight.sees_profile(author):
            raise ProfilePrivate(user_id=author.user_id)
        if request.archived and author.user_id != sight.viewer_id:
            return ListUserPostsResponse()
        limit = request.limit or PAGE
        page = PostDao.by_user(author.user_id, request.archived, before=request.before_post_id or None, limit=limit + 1)
        posts, following = _page(await self._db.run(page), limit)
        views = [post_view(post, author) for post in posts if sight.sees_post(post, author)]
        return ListUserPostsResponse(posts=views, next_before_post_id=following)

    async def list_newest_posts(self, request: ListNewestPostsRequest, ctx: Context) -> ListNewestPostsResponse:
        limit = request.limit or PAGE
        page = PostDao.by_archived(False, before=request.before_post_id or None, limit=limit + 1)
        posts, following = _page(await self._db.run(page), limit)
        author_ids = {post.user_id for post in posts}
        rows = await self._db.run(UserDao.where(UserDao.user_id.in_(author_ids)).limit(limit))
        authors = {user.user_id: user for user in rows}
        sight = await look(self._db, ctx.identity, author_ids)
        views = [
            post_view(post, authors[post.user_id])
            for post in posts
            if post.user_id in authors and _is_for_everybody(post, authors[post.user_id], sight)
        ]
        return ListNewestPostsResponse(posts=views, next_before_post_id=following)

    async def _seen(self, post: Post, ctx: Context) -> User | None:
        """The author, if the post exists for the caller."""
        author = await self._db.run(UserDao.get(post.user_id))
        sight = await look(self._db, ctx.identity, [post.user_id])
        return author if author is not None and sight.sees_post(post, author) else None

    async def _refuse_others(self, post_id: int, ctx: Context) -> None:
        """Raises PostNotFound, and NotPostOwner for a post that the caller sees but does not own."""
        post = await self._db.run(PostDao.get(post_id))
        if post is None:
            raise PostNotFound
        if post.user_id != ctx.user_id:
            if await self._seen(post, ctx) is None:
                raise PostNotFound
            raise NotPostOwner(post_id=post_id)


def _page(rows: Sequence[Post], limit: int) -> tuple[Sequence[Post], int]:
    """At most `limit` of the rows, and where the next page starts: 0 unless there was one row more."""
    return rows[:limit], rows[limit - 1].post_id if len(rows) > limit else 0


def _is_for_everybody(post: Post, author: User, sight: Sight) -> bool:
    everybody = author.profile_privacy == PRIVACY_ALL and post.shared_to == PRIVACY_ALL
    return everybody and sight.knows(author)


async def _held(tx: Transaction, post_id: int) -> Post:
    """The post as it is, and stays until the transaction ends. Raises PostNotFound when it has just been deleted."""
    post = await tx.run(PostDao.where(PostDao.post_id == post_id).for_update().first())
    if post is None:
        raise PostNotFound
    return post


async def _account(tx: Transaction, user_id: int) -> User:
    user = await tx.run(UserDao.get(user_id))
    if user is None:
        raise RpcError(Code.UNAUTHENTICATED, "this account is gone; sign in again")
    return user
