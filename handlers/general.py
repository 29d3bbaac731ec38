"""GeneralService: what a client can ask before anybody has signed in."""

from __future__ import annotations

from generated.proto.sun.v1.enums_pb2 import USER_NAME_STATUS_AVAILABLE, USER_NAME_STATUS_TAKEN
from generated.proto.sun.v1.general_pb2 import (
    CheckUserNameRequest,
    CheckUserNameResponse,
    EchoRequest,
    EchoResponse,
)
from generated.rpc.sun.v1.general import GeneralService
from generated.sql.sun import UserDao
from handlers import user_names
from runtime.rpc.context import Context
from runtime.sql.database import Database


class GeneralHandler(GeneralService):
    def __init__(self, db: Database) -> None:
        self._db = db

    async def echo(self, request: EchoRequest, ctx: Context) -> EchoResponse:
        return EchoResponse(text=request.text)

    async def check_user_name(self, request: CheckUserNameRequest, ctx: Context) -> CheckUserNameResponse:
        status = user_names.status_of(request.user_name)
        if status == USER_NAME_STATUS_AVAILABLE and await self._is_taken(request.user_name):
            status = USER_NAME_STATUS_TAKEN
        return CheckUserNameResponse(available=status == USER_NAME_STATUS_AVAILABLE, status=status)

    async def _is_taken(self, user_name: str) -> bool:
        return await self._db.run(UserDao.by_user_name(user_name.lower())) is not None
