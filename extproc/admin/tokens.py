"""Tokens for this service. They are hashed as keys are; the plaintext is shown once."""

import secrets

from extproc.admin import check
from extproc.admin.authenticate import TOKEN_START
from extproc.admin.messages import token_message
from extproc.admin.parts import Parts
from extproc.admin.pb import admin_pb2 as pb
from extproc.admin.refused import invalid, not_found
from extproc.admin.rights import require_all_seeing, require_operator
from extproc.core import identity
from extproc.core.people import Principal, Scope
from extproc.store.tokens import TokenRecord


class Tokens:
    """The verbs on tokens."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def list(self, principal: Principal, _request: pb.ListTokensRequest) -> pb.ListTokensResponse:
        """All that are not revoked."""
        require_all_seeing(principal)
        return pb.ListTokensResponse(tokens=map(token_message, await self._parts.tokens.list()))

    async def create(self, principal: Principal, request: pb.CreateTokenRequest) -> pb.NewToken:
        """The token, and its plaintext this once."""
        require_operator(principal)
        scopes = frozenset(check.one_of(Scope, one, "a scope") for one in request.scopes)
        if not scopes:
            raise invalid(f"scopes are needed: some of {', '.join(Scope)}")
        if (Scope.PERSON in scopes) != bool(request.person):
            raise invalid("person is needed for the scope person, and for no other")
        plaintext = TOKEN_START + secrets.token_urlsafe(32)
        now_ms = self._parts.now_ms()
        record = TokenRecord(
            token_id="tok_" + secrets.token_hex(8),
            prefix=plaintext[: identity.PREFIX_LENGTH],
            name=check.text(request.name, "name"),
            scopes=tuple(scope for scope in Scope if scope in scopes),
            person=check.owner(request.person) if request.person else "",
            created_ms=now_ms,
            expires_ms=check.expiry(request.expires_ms, now_ms),
        )
        await self._parts.tokens.create(
            record, identity.digest(self._parts.pepper, plaintext), self._parts.by(principal)
        )
        return pb.NewToken(token=token_message(record), plaintext=plaintext)

    async def revoke(self, principal: Principal, request: pb.RevokeTokenRequest) -> pb.Token:
        """Dead at once."""
        require_operator(principal)
        revoked = await self._parts.tokens.revoke(request.token_id, self._parts.by(principal))
        if revoked is None:
            raise not_found(f"there is no token {request.token_id!r}")
        return token_message(revoked)
