"""What a key is allowed beside its group: where its requests may come from, and what they may ask for."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.core.allowed import Network, may_ask_for, may_come_from, parse_network
from tests.core.samples import KEY, MODEL

NETWORKS = st.one_of(
    st.builds(
        lambda address, bits: ip_network((address, bits), strict=False), st.ip_addresses(v=4), st.integers(0, 32)
    ),
    st.builds(
        lambda address, bits: ip_network((address, bits), strict=False), st.ip_addresses(v=6), st.integers(0, 128)
    ),
)


@pytest.mark.parametrize(
    ("networks", "address", "allowed"),
    [
        ([], "192.0.2.1", True),
        ([], "", True),
        (["192.0.2.0/24"], "192.0.2.255", True),
        (["192.0.2.0/24"], "192.0.3.0", False),
        (["192.0.2.1/24"], "192.0.2.200", True),
        (["192.0.2.1"], "192.0.2.1", True),
        (["192.0.2.1"], "192.0.2.2", False),
        (["10.0.0.0/8", "192.0.2.1"], "192.0.2.1", True),
        (["192.0.2.0/24"], "::ffff:192.0.2.7", True),
        (["192.0.2.0/24"], "::ffff:c000:207", True),
        (["192.0.2.0/24"], "::192.0.2.7", False),
        (["::ffff:192.0.2.0/120"], "192.0.2.7", True),
        (["::ffff:192.0.2.0/120"], "::ffff:192.0.2.7", True),
        (["::ffff:192.0.2.0/120"], "192.0.3.7", False),
        (["2001:db8::/32"], "2001:db8::7", True),
        (["2001:db8::/32"], "2001:db9::7", False),
        (["fe80::/10"], "fe80::1%eth0", True),
        (["0.0.0.0/0"], "2001:db8::7", False),
        (["::/0"], "192.0.2.7", False),
        (["0.0.0.0/0", "::/0"], "192.0.2.7", True),
        (["0.0.0.0/0", "::/0"], "", False),
        (["0.0.0.0/0", "::/0"], "/run/a.sock", False),
        (["0.0.0.0/0", "::/0"], "localhost", False),
        (["nonsense"], "192.0.2.7", False),
        (["nonsense", "192.0.2.7"], "192.0.2.7", True),
        (["192.0.2.0/33", ""], "192.0.2.7", False),
    ],
)
def test_where_requests_may_come_from(networks: list[str], address: str, allowed: bool) -> None:
    """Without a list from anywhere; with one, from its networks alone. What cannot be understood lets nobody in."""
    assert may_come_from(replace(KEY, allowed_ips=tuple(networks)), address) is allowed


@given(NETWORKS, st.ip_addresses())
def test_a_network_is_what_the_library_says(network: Network, address: IPv4Address | IPv6Address) -> None:
    """A list of one network lets in what is within it, an IPv4 address in either guise."""
    key = replace(KEY, allowed_ips=(str(network),))
    plain = (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
    assert may_come_from(key, str(address)) is (plain in parse_network(str(network)))
    if isinstance(plain, IPv4Address):
        assert may_come_from(key, f"::ffff:{plain}") is may_come_from(key, str(plain))


@pytest.mark.parametrize("text", ["", "nonsense", "10.0.0.0/33", "10.0.0", "2001:db8::/129", "10.0.0.0/8/8", "*"])
def test_what_is_no_network(text: str) -> None:
    """A `ValueError`, for whoever writes a list."""
    with pytest.raises(ValueError, match=r".*"):
        parse_network(text)


@pytest.mark.parametrize(
    ("names", "model", "alias_of", "allowed"),
    [
        ([], "gpt-5", "", True),
        (["gpt-5"], "gpt-5", "", True),
        (["gpt-5"], "gpt-5-mini", "", False),
        (["gpt-5*"], "gpt-5-mini", "", True),
        (["gpt-5*"], "gpt-4", "", False),
        (["*-mini"], "gpt-5-mini", "", True),
        (["*"], "anything", "", True),
        (["o3", "gpt-5*"], "gpt-5", "", True),
        (["gpt-5"], "fast", "gpt-5", True),
        (["gpt-5*"], "fast", "gpt-5-mini", True),
        (["fast"], "fast", "gpt-5", True),
        (["fast"], "gpt-5", "", False),
        (["fast"], "quick", "gpt-5", False),
        (["gpt-*"], "gpt-cheap", "claude-opus", False),
        (["GPT-5"], "gpt-5", "", False),
        (["gpt-5**"], "gpt-5", "", False),
    ],
)
def test_what_requests_may_ask_for(names: list[str], model: str, alias_of: str, allowed: bool) -> None:
    """As in a group: a name brings its aliases along, and a family ranges over models, whatever an alias is called."""
    asked = replace(MODEL, name=model, alias_of=alias_of)
    assert may_ask_for(replace(KEY, allowed_models=tuple(names)), asked) is allowed


def test_an_address_is_one_address() -> None:
    """A network of one address holds it, in every way to write it."""
    key = replace(KEY, allowed_ips=("2001:DB8:0:0::1",))
    assert may_come_from(key, str(ip_address("2001:db8::1")))
