"""The verbs of the contract, by their names in it: for gRPC (`extproc.admin.server`), and for the command line.

    await admin.call("CreateKey", pb.CreateKeyRequest(owner="ann"), principal)  →  pb.NewKey
    admin.stream("FollowRequests", pb.FollowRequestsRequest(), principal)       →  pb.Request, pb.Request, …

What is not done is an exception that `extproc.admin.refused.refused_by` makes a status and a sentence of.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from google.api.httpbody_pb2 import HttpBody
from google.protobuf.message import Message

from extproc.admin import openapi
from extproc.admin.keys import Keys
from extproc.admin.messages import principal_message
from extproc.admin.owners import Owners
from extproc.admin.parts import Parts
from extproc.admin.pb import admin_pb2 as pb
from extproc.admin.teams import Teams
from extproc.admin.tokens import Tokens
from extproc.admin.usage import Usage
from extproc.admin.wallets import Wallets
from extproc.core.people import Principal
from extproc.index.index import Index

Call = Callable[[Principal, Any], Awaitable[Message]]
Stream = Callable[[Principal, Any], AsyncIterator[Message]]


class Admin:
    """Every verb of `proto/tollgate/admin/v1/admin.proto`."""

    def __init__(self, parts: Parts, index: Index) -> None:
        owners, teams, keys = Owners(parts), Teams(parts), Keys(parts)
        wallets, tokens, usage = Wallets(parts), Tokens(parts), Usage(parts, index)
        self._calls: Mapping[str, Call] = {
            "WhoAmI": _who_am_i,
            "ListOwners": owners.list,
            "GetOwner": owners.get,
            "EditOwner": owners.edit,
            "ListTeams": teams.list,
            "CreateTeam": teams.create,
            "GetTeam": teams.get,
            "EditTeam": teams.edit,
            "DeleteTeam": teams.delete,
            "PutMember": teams.put_member,
            "RemoveMember": teams.remove_member,
            "ListKeys": keys.list,
            "CreateKey": keys.create,
            "GetKey": keys.get,
            "EditKey": keys.edit,
            "RotateKey": keys.rotate,
            "DeleteKey": keys.delete,
            "GetWallet": wallets.get,
            "ListEntries": wallets.entries,
            "MakeEntry": wallets.enter,
            "ListRequests": usage.list,
            "GetRequest": usage.get,
            "GetTotals": usage.totals,
            "ListChanges": usage.changes,
            "ListTokens": tokens.list,
            "CreateToken": tokens.create,
            "RevokeToken": tokens.revoke,
            "GetOpenApi": _open_api,
        }
        self._streams: Mapping[str, Stream] = {"FollowRequests": usage.follow, "ExportRequests": usage.export}

    async def call(self, verb: str, request: Message, principal: Principal) -> Any:
        """Carry out a verb with one answer. Raises `TollgateError`: `Refused`, and what the stores raise."""
        return await self._calls[verb](principal, request)

    def stream(self, verb: str, request: Message, principal: Principal) -> AsyncIterator[Any]:
        """Carry out a verb with many answers, which come as they are asked for. Raises the same."""
        return self._streams[verb](principal, request)


async def _who_am_i(principal: Principal, _request: pb.WhoAmIRequest) -> pb.Principal:
    return principal_message(principal)


async def _open_api(_principal: Principal, _request: pb.GetOpenApiRequest) -> HttpBody:
    return HttpBody(content_type="application/json", data=openapi.document())
