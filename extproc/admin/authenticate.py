"""Who calls: an admin token, or a JWT that Envoy has verified.

A token is known by the HMAC of its plaintext, as a key is. Of a JWT Envoy's `jwt_authn` hands on the payload in a
header, having taken away any that the caller sent; without a configured issuer that header counts for nothing.
"""

import base64
from collections.abc import Callable, Iterable

import grpc
import msgspec

from extproc.admin.refused import Refused
from extproc.core import identity
from extproc.core.people import Principal, Scope
from extproc.names import JWT_PAYLOAD_HEADER
from extproc.store.tokens import RedisTokens

TOKEN_START = "tga-"  # noqa: S105 - what a token begins with
MOST_CHARACTERS = 200

Metadata = Iterable[tuple[str, str | bytes]]


class Authentication:
    """Finds the principal of a call."""

    def __init__(self, tokens: RedisTokens, pepper: bytes, now_ms: Callable[[], int], jwt: bool) -> None:
        self._tokens = tokens
        self._pepper = pepper
        self._now_ms = now_ms
        self._jwt = jwt

    async def principal(self, metadata: Metadata) -> Principal:
        """Who calls with this metadata. Raises `Refused` (UNAUTHENTICATED) and `LedgerUnavailable`."""
        bearer = _bearer(_only(metadata, "authorization"))
        if bearer.startswith(TOKEN_START):
            return await self._by_token(bearer)
        payload = _only(metadata, JWT_PAYLOAD_HEADER)
        if self._jwt and payload:
            return _by_jwt(payload)
        raise _unauthenticated("no admin token was given: send it as 'authorization: Bearer tga-…'")

    async def _by_token(self, plaintext: str) -> Principal:
        known = len(plaintext) <= MOST_CHARACTERS and plaintext.isascii()
        record = await self._tokens.find(identity.digest(self._pepper, plaintext)) if known else None
        if record is None:
            raise _unauthenticated("the admin token is not valid")
        if record.expires_ms and self._now_ms() >= record.expires_ms:
            raise _unauthenticated("the admin token has expired")
        return Principal(f"token:{record.token_id}", frozenset(map(Scope, record.scopes)), record.person)


def _only(metadata: Metadata, wanted: str) -> str:
    found = [value for name, value in metadata if name == wanted]
    if len(found) > 1:
        raise _unauthenticated(f"there is more than one {wanted}")
    return found[0] if found and isinstance(found[0], str) else ""


def _bearer(header: str) -> str:
    scheme, _, rest = header.partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else ""


class _Claims(msgspec.Struct):
    sub: str
    tollgate_scopes: str | list[str] | None = None


def _by_jwt(payload: str) -> Principal:
    """Scopes that are none of ours are for others; without any claim of them a JWT speaks for its subject."""
    try:
        decoded = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        claims = msgspec.json.decode(decoded, type=_Claims)
    except (ValueError, msgspec.MsgspecError):
        raise _unauthenticated("the JWT has no subject, or scopes that are not words") from None
    if not (claims.sub.strip() and claims.sub.isprintable() and len(claims.sub) <= MOST_CHARACTERS):
        raise _unauthenticated(f"the JWT's subject is not a name of up to {MOST_CHARACTERS} printable characters")
    said = claims.tollgate_scopes
    given = said.split() if isinstance(said, str) else said
    scopes = frozenset({Scope.PERSON} if given is None else {scope for scope in Scope if scope.value in given})
    return Principal(f"jwt:{claims.sub}", scopes, claims.sub if Scope.PERSON in scopes else "")


def _unauthenticated(message: str) -> Refused:
    return Refused(grpc.StatusCode.UNAUTHENTICATED, message)
