"""Base URLs and references to secrets, by themselves."""

from pathlib import Path

import pytest

from extproc.config.base_url import read_base_url
from extproc.config.secrets import SecretMissing, parse_reference, read_secret
from extproc.core.catalog import SecretRef

ENV = {"PORT": "9100", "HOST": "vendor.internal", "EMPTY": ""}

GOOD = [
    ("https://api.openai.com/v1", "https://api.openai.com/v1"),
    ("https://api.anthropic.com/", "https://api.anthropic.com"),
    ("http://127.0.0.1:9100/openai/v1/", "http://127.0.0.1:9100/openai/v1"),
    ("http://[::1]:9100", "http://[::1]:9100"),
    ("http://${HOST}:${PORT}/v1", "http://vendor.internal:9100/v1"),
    ("http://host:${NOT_SET:-80}", "http://host:80"),
    ("http://host:${EMPTY:-80}", "http://host:80"),
    ("http://host/v1${EMPTY:-}", "http://host/v1"),
]

BAD = [
    ("", "must begin with"),
    ("host/v1", "must begin with"),
    (" https://host", "must begin with"),
    ("https://", "must name a host"),
    ("https://-host", "must name a host"),
    ("https://ho st", "must name a host"),
    ("https://${HOST/v1", "must name a host"),
    ("https://host:http", "usable host and port"),
    ("https://host:0", "usable host and port"),
    ("https://[::1", "usable host and port"),
    ("https://@host", "user or password"),
    ("https://host?", "query or fragment"),
    ("https://host/a//b", "do not belong"),
    ("https://host/a\tb", "do not belong"),
    ("https://host/ä", "do not belong"),
    ("https://host/${port}", "do not belong"),
    ("https://host/${EMPTY}", "EMPTY is not set"),
]


@pytest.mark.parametrize(("template", "url"), GOOD)
def test_good_base_url(template: str, url: str) -> None:
    """Variables are filled in as a shell would, and a slash at the end does not matter."""
    assert read_base_url(template, ENV) == url


@pytest.mark.parametrize(("template", "wrong"), BAD)
def test_bad_base_url(template: str, wrong: str) -> None:
    """What no cluster can be made of is refused, in words that tell which part it is."""
    with pytest.raises(ValueError, match=wrong):
        read_base_url(template, ENV)


@pytest.mark.parametrize("text", ["env:OPENAI_API_KEY", "env:_K2", "file:/run/secrets/openai key"])
def test_reference_round_trip(text: str) -> None:
    """A reference reads back as it was written."""
    assert str(parse_reference(text)) == text


@pytest.mark.parametrize("text", ["", "sk-x", "env:", "env:lower", "env:A B", "file:", "file:rel", "ENV:A", "env:A\n"])
def test_no_reference(text: str) -> None:
    """Whatever is not exactly a reference is refused."""
    with pytest.raises(ValueError, match=r"env:|file:"):
        parse_reference(text)


def test_secret_is_read_without_blanks_around_it(tmp_path: Path) -> None:
    """A line end in a secret's file, or a blank in its variable, is no part of the secret."""
    file = tmp_path / "key"
    file.write_text("sk-1\n")
    assert read_secret(SecretRef("file", str(file)), {}) == "sk-1"
    assert read_secret(SecretRef("env", "KEY"), {"KEY": " sk-2 "}) == "sk-2"


def test_unreadable_secret_is_missing(tmp_path: Path) -> None:
    """A folder, or bytes that are not text, in the place of a secret's file is told as such."""
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    for path in (tmp_path, binary):
        with pytest.raises(SecretMissing, match="cannot be read"):
            read_secret(SecretRef("file", str(path)), {})
