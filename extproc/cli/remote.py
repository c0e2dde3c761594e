"""A gateway elsewhere, asked over gRPC through the listener of its admin API."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import grpc
import msgspec
from google.protobuf.message import Message

from extproc.cli.told import TOKEN, told
from extproc.errors import TollgateError
from extproc.names import ADMIN_SERVICE

A = TypeVar("A", bound=Message)

PATIENCE_SECONDS = 60.0

_WHERE = "Is that the address of the admin API (--admin-port of `tollgate up`), of a gateway that is up?"


@contextmanager
def remote(url: str, ca: Path | None) -> Iterator["Remote"]:
    """A client of the admin API at this URL. Raises `TollgateError`."""
    token = os.environ.get(TOKEN, "")
    if not token and not url.startswith("unix:"):
        raise TollgateError(f"{TOKEN} is not set: the admin API at {url} asks for a token (`tollgate tokens create`)")
    with _channel(url, ca) as channel:
        yield Remote(channel, url, token)


class Remote:
    """A `Client` over one channel."""

    def __init__(self, channel: grpc.Channel, url: str, token: str) -> None:
        self._channel = channel
        self._url = url
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()

    def call(self, request: Message, answer: type[A]) -> A:
        """The one answer. Raises `TollgateError`."""
        ask = self._channel.unary_unary(
            path_of(request), type(request).SerializeToString, response_deserializer=answer.FromString
        )
        try:
            found: A = ask(request, timeout=PATIENCE_SECONDS, metadata=self._metadata)
        except grpc.RpcError as error:
            raise self._told(error) from None
        return found

    def stream(self, request: Message, answer: type[A]) -> Iterator[A]:
        """Every answer, for as long as it takes. Raises `TollgateError`."""
        ask = self._channel.unary_stream(
            path_of(request), type(request).SerializeToString, response_deserializer=answer.FromString
        )
        answers = ask(request, metadata=self._metadata)
        try:
            yield from answers
        except grpc.RpcError as error:
            raise self._told(error) from None
        finally:
            answers.cancel()  # type: ignore[no-untyped-call]

    def catalog(self) -> None:
        """It is not at hand: the gateway there has it."""

    def _told(self, error: grpc.RpcError) -> TollgateError:
        code, details = error.code(), error.details() or "nothing more is known"
        if details.startswith("{"):  # a body of HTTP: the admin service words its own in a sentence
            return TollgateError(f"{self._url} answers: {_message(details)}\n{_WHERE}")
        match code:
            case grpc.StatusCode.UNAVAILABLE:
                return TollgateError(f"no answer at {self._url} ({details})\n{_WHERE}")
            case grpc.StatusCode.UNIMPLEMENTED | grpc.StatusCode.UNKNOWN:
                return TollgateError(f"{self._url} does not understand this ({details})\n{_WHERE}")
            case grpc.StatusCode.DEADLINE_EXCEEDED:
                return TollgateError(
                    f"no answer at {self._url} within {PATIENCE_SECONDS:.0f} seconds\n"
                    "Whether a change was made is not known: look before you repeat it."
                )
        return told(code, details)


def _message(body: str) -> str:
    """What a JSON body says is wrong, where that can be told."""
    with suppress(msgspec.MsgspecError):
        error = msgspec.json.decode(body, type=_Body).error
        return error if isinstance(error, str) else error.message
    return body


class _Error(msgspec.Struct):
    message: str


class _Body(msgspec.Struct):
    error: _Error | str


def verb_of(request: Message) -> str:
    """`GetOwnerRequest` → `GetOwner`."""
    return type(request).DESCRIPTOR.name.removesuffix("Request")


def path_of(request: Message) -> str:
    """Where gRPC finds the verb of a request."""
    return f"/{ADMIN_SERVICE}/{verb_of(request)}"


def _channel(url: str, ca: Path | None) -> grpc.Channel:
    options = [("grpc.max_receive_message_length", -1)]
    scheme, address = urlsplit(url).scheme, urlsplit(url).netloc
    if scheme == "unix":
        return grpc.insecure_channel(url, [*options, ("grpc.default_authority", "localhost")])
    if not address or scheme not in ("http", "https"):
        raise TollgateError(f"{url!r} is no address of an admin API, such as https://gateway.example.com:8090")
    if scheme == "http":
        return grpc.insecure_channel(address, [*options, ("grpc.enable_http_proxy", 0)])
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(_authorities(ca)), options)


def _authorities(ca: Path | None) -> bytes | None:
    try:
        return ca.read_bytes() if ca else None
    except OSError as error:
        raise TollgateError(f"{ca} cannot be read: {error.strerror}") from None
