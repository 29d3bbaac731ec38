"""A service that greets: answers posts with #hello in them once each, and prints what its user is pushed."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from sun_client import HttpTransport, Position, Reload, RpcError, WebSocketTransport
from sun_client.proto.sun.v1.auth_pb2 import DeviceInfo, SignInRequest
from sun_client.proto.sun.v1.social_pb2 import AddPostRequest, ListNewestPostsRequest
from sun_client.proto.sun.v1.views_pb2 import PostView
from sun_client.rpc.sun.v1.auth import AuthClient
from sun_client.rpc.sun.v1.social import SocialClient

DEVICE = "greeter"
HASHTAG = "#hello"


@dataclass
class State:
    """What outlives the program: the newest post that was looked at, and the last push that was dealt with."""

    seen: int = 0
    epoch: int = 0
    counter: int = 0

    @classmethod
    def read(cls, file: Path) -> State:
        return cls(**json.loads(file.read_text())) if file.exists() else cls()

    def write(self, file: Path) -> None:
        scratch = file.with_suffix(".new")
        scratch.write_text(json.dumps(asdict(self)))
        scratch.replace(file)


async def sign_in(server: str, login: str, password: str) -> tuple[str, int]:
    """The session's token and the user's id."""
    async with HttpTransport(f"http://{server}", device=DEVICE) as transport:
        request = SignInRequest(login=login, password=password, device_info=DeviceInfo(device=DEVICE))
        reply = await AuthClient(transport).sign_in(request, timeout_ms=10_000)
        return reply.token, reply.profile.profile.user.user_id


async def greet(social: SocialClient, me: int, state: State, file: Path, every_s: float) -> None:
    """Looks for new posts for ever. A server that is away is waited for."""
    while True:
        try:
            reply = await social.list_newest_posts(ListNewestPostsRequest(limit=50), timeout_ms=10_000)
            for post in sorted(reply.posts, key=lambda post: post.post_id):
                if post.post_id > state.seen:
                    if post.user.user_id != me and HASHTAG in post.text:
                        await answer(social, post)
                    state.seen = post.post_id
                    state.write(file)
        except RpcError as error:
            print(f"trying again: {error}", flush=True)
        await asyncio.sleep(every_s)


async def answer(social: SocialClient, post: PostView) -> None:
    # The key follows from the post: whatever is cut or killed in between, no post is greeted twice.
    request = AddPostRequest(text=f"Hello, {post.user.first_name}!", via=DEVICE)
    await social.add_post(request, timeout_ms=10_000, key=f"greeter-answers-{post.post_id}")
    print(f"greeted {post.user.user_name}", flush=True)


async def follow(transport: WebSocketTransport, state: State, file: Path) -> None:
    """Prints pushes, as they come and without a gap from one run of the program to the next."""
    async for push in transport.pushes():
        # What was dealt with before this one, which counts when the loop comes back.
        if transport.position is not None:
            state.epoch, state.counter = transport.position
            state.write(file)
        if isinstance(push, Reload):
            print("pushes were lost", flush=True)
        else:
            print(f"push {push.counter}: {push.type}, {len(push.payload)} bytes", flush=True)


async def run(server: str, login: str, password: str, file: Path, every_s: float) -> None:
    token, me = await sign_in(server, login, password)
    state = State.read(file)
    resume = Position(state.epoch, state.counter) if state.epoch else None
    async with WebSocketTransport(f"ws://{server}/ws", token, DEVICE, client="greeter 1.0", resume=resume) as transport:
        print(f"signed in as {login}", flush=True)
        social = SocialClient(transport)
        await asyncio.gather(follow(transport, state, file), greet(social, me, state, file, every_s))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("login", help="user name; the password is read from GREETER_PASSWORD")
    parser.add_argument("--server", default="127.0.0.1:8650", help="host:port")
    parser.add_argument("--state", type=Path, default=Path("greeter.json"), help="where to remember what was done")
    parser.add_argument("--every", type=float, default=2.0, help="seconds between looks at the newest posts")
    given = parser.parse_args()
    password = os.environ.get("GREETER_PASSWORD", "")
    try:
        asyncio.run(run(given.server, given.login, password, given.state, given.every))
    except KeyboardInterrupt:
        return 0
    except RpcError as error:
        print(f"greeter: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
