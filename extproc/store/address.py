"""What the URL of a Redis says.

    redis://HOST:PORT/DB             one server; rediss:// the same over TLS
    unix:///PATH                     one server on this machine
    redis+cluster://HOST:PORT,…      a Redis Cluster, of which some nodes are named; rediss+cluster:// over TLS
    redis+sentinel://HOST:PORT,…/SERVICE
                                     the primary of a service, which these Sentinels know; rediss+sentinel:// over TLS

`USER:PASSWORD@` and `?option=value` are those of redis-py; a character such as / or @ in a password is written as %2F
or %40. Three more options: `replicas`, how many of them must have a write before it counts, and `sentinel_username`
and `sentinel_password` for Sentinels that ask for them.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from redis.asyncio.connection import Connection as Socket
from redis.asyncio.connection import SSLConnection, parse_url
from redis.exceptions import RedisError

from extproc.errors import ConfigError

Node = tuple[str, int]
"""Host and port."""


class Kind(Enum):
    """What there is at the address."""

    SERVER = ""
    CLUSTER = "cluster"
    SENTINEL = "sentinel"


KINDS = {
    f"{scheme}{'+' if kind.value else ''}{kind.value}": (scheme, kind)
    for kind in Kind
    for scheme in (("redis", "rediss", "unix") if kind is Kind.SERVER else ("redis", "rediss"))
}
DEFAULT_PORT = {Kind.CLUSTER: 6379, Kind.SENTINEL: 26379}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a Redis is and how to speak to it.

    `nodes` are those of a cluster that are named, or the Sentinels; `options` those of redis-py's connections.
    """

    kind: Kind
    nodes: tuple[Node, ...] = ()
    service: str = ""
    replicas: int = 0
    options: dict[str, Any] = field(default_factory=dict, repr=False)
    sentinel_options: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def tls(self) -> bool:
        """Whether every connection is encrypted."""
        return self.options.get("connection_class") is SSLConnection


def parse(url: str) -> Address:
    """Raises `ConfigError`, which never tells the password."""
    try:
        return _parse(url)
    except ValueError as error:
        raise ConfigError(f"{printable(url)!r} is no URL of a Redis: {error}") from None


def printable(url: str) -> str:
    """The URL without user, password and options."""
    scheme, separator, rest = url.partition("://")
    return scheme + separator + rest.rpartition("@")[2].partition("?")[0]


def _parse(url: str) -> Address:
    scheme, kind = KINDS.get(url.partition("://")[0], ("", Kind.SERVER))
    if not scheme:
        raise ValueError(f"it begins with none of the schemes {', '.join(f'{name}://' for name in KINDS)}")
    parts = urlsplit(url)
    userinfo, at, hosts = parts.netloc.rpartition("@")
    nodes = [_node(host, DEFAULT_PORT.get(kind, 6379)) for host in hosts.split(",")]
    if kind is not Kind.SERVER and not all(host for host, _ in nodes):
        raise ValueError("a host is missing")
    path = parts.path if kind is Kind.SERVER else ""
    netloc = userinfo + at + (hosts if kind is Kind.SERVER else "")
    options: dict[str, Any] = {**parse_url(urlunsplit((scheme, netloc, path, parts.query, "")))}
    replicas = _count(options.pop("replicas", "0"))
    sentinel_options = {
        name: options.pop(f"sentinel_{name}")
        for name in ("username", "password")
        if kind is Kind.SENTINEL and f"sentinel_{name}" in options
    }
    _check(options)
    if kind is Kind.SERVER:
        return Address(kind, (), "", replicas, options)
    return Address(kind, tuple(nodes), _service(kind, parts.path), replicas, options, sentinel_options)


def _node(text: str, default_port: int) -> Node:
    try:
        parts = urlsplit(f"//{text}")
        return parts.hostname or "", parts.port or default_port
    except ValueError:
        message = "its hosts and ports cannot be read. In a password, / ? # @ and : are written %2F %3F %23 %40 and %3A"
        raise ValueError(message) from None


def _service(kind: Kind, path: str) -> str:
    service = unquote(path.strip("/"))
    if kind is Kind.SENTINEL and (not service or "/" in service):
        raise ValueError("the name of the service is missing; it ends in /NAME, the name that the Sentinels know")
    if kind is Kind.CLUSTER and service not in ("", "0"):
        raise ValueError("a cluster has no database but 0")
    return "" if kind is Kind.CLUSTER else service


def _count(text: str) -> int:
    if not text.isascii() or not text.isdecimal():
        raise ValueError("replicas is a number: how many must have a write before it counts")
    return int(text)


def _check(options: dict[str, Any]) -> None:
    """A connection is made and not opened, for that is when redis-py looks at its options."""
    kwargs = dict(options)
    make = kwargs.pop("connection_class", Socket)
    try:
        make(**kwargs)
    except (TypeError, RedisError) as error:
        raise ValueError(f"it has an option that is unknown or wrong ({error})") from None
