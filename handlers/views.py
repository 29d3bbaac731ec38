"""Rows as clients see them. Says how a row is shown, never whether: that is `handlers.privacy`."""

from __future__ import annotations

from generated.proto.sun.v1.enums_pb2 import PostType, Privacy, UserLevel
from generated.proto.sun.v1.views_pb2 import (
    OwnProfile,
    PostCounters,
    PostView,
    PrivacySettings,
    ProfileView,
    SessionView,
    UserView,
)
from generated.sql.sun import Post, Session, User


def user_view(user: User) -> UserView:
    """What everybody may know."""
    return UserView(
        user_id=user.user_id,
        user_name=user.user_name,
        first_name=user.first_name,
        last_name=user.last_name,
        is_verified=user.is_verified,
        avatar_file_ref=user.avatar_file_ref,
    )


def profile_view(user: User, is_visible: bool) -> ProfileView:
    """The profile, or its head alone for a caller to whom it is not visible."""
    if not is_visible:
        return ProfileView(user=user_view(user), is_private=True)
    return ProfileView(
        user=user_view(user),
        about=user.about,
        posts=user.posts,
        followers=user.followers,
        following=user.following,
        created_ms=user.created_ms,
    )


def own_profile(user: User) -> OwnProfile:
    """An account as its owner sees it."""
    return OwnProfile(
        profile=profile_view(user, is_visible=True),
        phone=user.phone or "",
        level=UserLevel.ValueType(user.level),
        privacy=PrivacySettings(
            profile=Privacy.ValueType(user.profile_privacy),
            online=Privacy.ValueType(user.online_privacy),
            call=Privacy.ValueType(user.call_privacy),
            group=Privacy.ValueType(user.group_privacy),
            seen=Privacy.ValueType(user.seen_privacy),
        ),
    )


def session_view(session: Session, is_current: bool, address: str = "") -> SessionView:
    """A session of the caller; `address` is where it is used from at this moment, if that is known."""
    return SessionView(
        session_id=session.session_id,
        device_name=session.device_name,
        app_version=session.app_version,
        last_ip=address or session.last_ip,
        active_ms=session.active_ms,
        created_ms=session.created_ms,
        expires_ms=session.expires_ms,
        is_current=is_current,
    )


def post_view(post: Post, author: User) -> PostView:
    """A post with its author."""
    return PostView(
        post_id=post.post_id,
        user=user_view(author),
        post_type=PostType.ValueType(post.post_type),
        text=post.text,
        post_key=post.post_key,
        comments_disabled=post.comments_disabled,
        is_archived=post.is_archived,
        via=post.via,
        counters=PostCounters(
            comments=post.comments,
            likes=post.likes,
            views=post.views,
            reshares=post.reshares,
            chat_shares=post.chat_shares,
        ),
        edited_ms=post.edited_ms,
        created_ms=post.created_ms,
    )
