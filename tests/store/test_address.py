"""What a URL says of a Redis, and what is wrong with one, in plain words and without its password."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio.connection import SSLConnection, UnixDomainSocketConnection

from extproc.errors import ConfigError
from extproc.store.address import KINDS, Address, Kind, parse, printable

USER = {"username": "me", "password": "p@ss"}

UNDERSTOOD: dict[str, Address] = {
    "redis://h": Address(Kind.SERVER, options={"host": "h"}),
    "redis://me:p%40ss@h:7/3?replicas=2": Address(
        Kind.SERVER, replicas=2, options={"host": "h", "port": 7, "db": 3, **USER}
    ),
    "rediss://h:7?ssl_cert_reqs=none": Address(
        Kind.SERVER, options={"host": "h", "port": 7, "connection_class": SSLConnection, "ssl_cert_reqs": "none"}
    ),
    "unix:///a/r.sock?db=2": Address(
        Kind.SERVER, options={"path": "/a/r.sock", "connection_class": UnixDomainSocketConnection, "db": 2}
    ),
    "redis+cluster://h": Address(Kind.CLUSTER, (("h", 6379),)),
    "redis+cluster://me:p%40ss@h:1,i,[::1]:3/0?replicas=1&client_name=x": Address(
        Kind.CLUSTER, (("h", 1), ("i", 6379), ("::1", 3)), replicas=1, options={**USER, "client_name": "x"}
    ),
    "rediss+cluster://h:1": Address(Kind.CLUSTER, (("h", 1),), options={"connection_class": SSLConnection}),
    "redis+sentinel://h:1,i/money": Address(Kind.SENTINEL, (("h", 1), ("i", 26379)), "money"),
    "rediss+sentinel://me:p%40ss@h/my%20money?db=2&sentinel_password=pw&sentinel_username=u": Address(
        Kind.SENTINEL,
        (("h", 26379),),
        "my money",
        options={**USER, "connection_class": SSLConnection, "db": 2},
        sentinel_options={"username": "u", "password": "pw"},
    ),
}


@pytest.mark.parametrize("url", UNDERSTOOD)
def test_an_url_is_understood(url: str) -> None:
    """Hosts, service and options of every kind of URL."""
    assert parse(url) == UNDERSTOOD[url]


BAD = {
    "nonsense": "'nonsense' is no URL of a Redis: it begins with none of the schemes redis://, rediss://, unix://, "
    "redis+cluster://, rediss+cluster://, redis+sentinel://, rediss+sentinel://",
    "http://me:secret@h/?password=secret": "'http://h/' is no URL of a Redis: it begins with none of the schemes",
    "unix+cluster:///r": "it begins with none of the schemes",
    "redis://:sec/ret@h:1": "its hosts and ports cannot be read. In a password, / ? # @ and : are written %2F",
    "redis://:sec?ret@h:1": "its hosts and ports cannot be read",
    "redis+cluster://:secret@h:1,i:x": "its hosts and ports cannot be read",
    "redis+cluster://h:1,,i:2": "a host is missing",
    "redis+cluster://:secret@/": "a host is missing",
    "redis+cluster://h/2": "a cluster has no database but 0",
    "redis+sentinel://:secret@h": "the name of the service is missing; it ends in /NAME",
    "redis+sentinel://h/money/0": "the name of the service is missing",
    "redis://h?replicas=-1": "replicas is a number",
    "redis+cluster://h?replicas=one": "replicas is a number",
    "redis://:secret@h?db=secret": "Invalid value for 'db'",
    "redis://:secret@h?colour=secret": "it has an option that is unknown or wrong",
    "redis+cluster://:secret@h?path=secret": "it has an option that is unknown or wrong",
    "rediss://:secret@h?ssl_cert_reqs=maybe": "it has an option that is unknown or wrong",
    "redis://h?sentinel_password=secret": "it has an option that is unknown or wrong",
}


@pytest.mark.parametrize("url", BAD)
def test_what_is_wrong_is_said(url: str) -> None:
    """When the URL is read, not at the first request; and nothing that may be secret is repeated."""
    with pytest.raises(ConfigError) as caught:
        parse(url)
    assert BAD[url] in str(caught.value)
    assert not any(word in str(caught.value) for word in ("secret", "sec/", "ret@"))


PASSWORD = st.text(st.characters(codec="utf-8"), min_size=1).map(lambda text: f"<{text}>")


@given(scheme=st.sampled_from([*KINDS, "http"]), password=PASSWORD, end=st.sampled_from(["", "/x", "/0?a=b", "?db=x"]))
def test_no_password_is_told(scheme: str, password: str, end: str) -> None:
    """Whatever stands between the colon and the last @, and however wrong the rest is."""
    url = f"{scheme}://me:{password}@h:1,i{end}"
    assert password not in printable(url)
    try:
        shown: Any = parse(url)
    except ConfigError as error:
        shown = error
    assert password not in repr(shown)
    assert password not in str(shown)
