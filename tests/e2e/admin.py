"""The admin API of a gateway, called as its callers do: over REST, over gRPC, with a token or a JWT."""

import base64
import contextlib
import json
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

import grpc
import httpx
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from extproc.admin.authenticate import TOKEN_START
from extproc.admin.server import VERBS
from extproc.clock import now_ms
from extproc.core import identity
from extproc.core.people import Scope
from extproc.names import ADMIN_SERVICE
from extproc.settings import load_pepper
from extproc.store.tokens import RedisTokens, TokenRecord
from tests.e2e.harness import Gateway, eventually

WITHIN_SECONDS = 20.0


def make_token(gateway: Gateway, *scopes: Scope, person: str = "", expires_ms: int = 0) -> str:
    """A new token's plaintext."""
    plaintext = TOKEN_START + secrets.token_urlsafe(32)
    digest = identity.digest(load_pepper(gateway.settings), plaintext)
    prefix = plaintext[: identity.PREFIX_LENGTH]
    token_id = "tok_" + secrets.token_hex(8)
    record = TokenRecord(token_id, prefix, "test", scopes, person, now_ms(), expires_ms)
    gateway._redis(lambda connection: RedisTokens(connection).create(record, digest))
    return plaintext


def bearer(credential: str) -> dict[str, str]:
    """The header that says who calls."""
    return {"authorization": f"Bearer {credential}"}


@contextlib.contextmanager
def rest(gateway: Gateway, credential: str = "", **options: Any) -> Iterator[httpx.Client]:
    """A client whose paths begin behind `/admin/v1`."""
    url = f"{gateway.settings.admin_url}/admin/v1"
    headers = bearer(credential) if credential else {}
    with httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=WITHIN_SECONDS, **options) as client:
        eventually(lambda: client.get("/openapi.json").status_code == 200, "the admin service")
        yield client


def native(gateway: Gateway, verb: str, credential: str = "", **fields: Any) -> Any:
    """What a verb answers over gRPC; of a stream the iterator of its answers. Raises `grpc.RpcError`."""
    described = VERBS[verb]
    request: Message = GetMessageClass(described.input_type)(**fields)
    address = gateway.settings.admin_url.removeprefix("http://")
    channel = grpc.insecure_channel(address)
    make = channel.unary_stream if described.server_streaming else channel.unary_unary
    call = make(f"/{ADMIN_SERVICE}/{verb}", _write, GetMessageClass(described.output_type).FromString)
    metadata = tuple(bearer(credential).items()) if credential else ()
    return call(request, metadata=metadata, timeout=WITHIN_SECONDS)


def _write(message: Message) -> bytes:
    return message.SerializeToString()


class Issuer:
    """Somebody who makes JWTs: RS256, with one key."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def jwks(self) -> str:
        """The key that they can be checked by."""
        numbers = self._key.public_key().public_numbers()
        n, e = (_unpadded(each.to_bytes((each.bit_length() + 7) // 8)) for each in (numbers.n, numbers.e))
        return json.dumps({"keys": [{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "1", "n": n, "e": e}]})

    def jwt(self, claims: Mapping[str, Any], algorithm: str = "RS256") -> str:
        """These claims, signed; not at all where the algorithm is `none`."""
        header = {"alg": algorithm, "typ": "JWT", "kid": "1"}
        said = ".".join(_unpadded(json.dumps(each).encode()) for each in (header, claims))
        signature = self._key.sign(said.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{said}.{_unpadded(signature) if algorithm != 'none' else ''}"


def _unpadded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
