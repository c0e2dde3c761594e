"""What a key is allowed beside its group: the addresses its requests may come from, and the models they may ask for.

Either list allows everything where it is empty. What was worked out once is remembered: the lists of a key seldom
change, and its requests are much alike.
"""

from collections.abc import Iterator
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from extproc.core.catalog import Model
from extproc.core.families import fitting, is_family
from extproc.core.identity import KeyRecord

Network = IPv4Network | IPv6Network

_REMEMBERED = 10_000

_IPV4_BITS = 96
"""Where the IPv4 address begins in an IPv6 address that only wraps one, such as `::ffff:10.0.0.1`."""


def parse_network(text: str) -> Network:
    """`10.0.0.0/8`, `192.0.2.7` or `2001:db8::/32`. Raises `ValueError`.

    Bits of a host are passed over. IPv4 in the guise of IPv6 is IPv4.
    """
    network = ip_network(text.strip(), strict=False)
    wrapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    if wrapped is None or network.prefixlen < _IPV4_BITS:
        return network
    return IPv4Network((wrapped, network.prefixlen - _IPV4_BITS))


def may_come_from(key: KeyRecord, address: str) -> bool:
    """Whether requests with this key may come from this IP address. What is no address may not, if any list is kept."""
    return not key.allowed_ips or _is_within(key.allowed_ips, address)


def may_ask_for(key: KeyRecord, model: Model) -> bool:
    """Whether this key may ask for this model, as far as its own list goes.

    As in a group: a name brings its aliases along, and a family ranges over models with their aliases. An alias may be
    named by itself.
    """
    return not key.allowed_models or _is_named(key.allowed_models, model.name, model.alias_of)


@lru_cache(_REMEMBERED)
def _is_within(networks: tuple[str, ...], address: str) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return False
    plain = found.ipv4_mapped or found if found.version == 6 else found
    return any(plain in network for network in _parsed(networks))


@lru_cache(_REMEMBERED)
def _parsed(networks: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(_understood(networks))


def _understood(networks: tuple[str, ...]) -> Iterator[Network]:
    """Those that are networks: what is none lets nobody in."""
    for text in networks:
        try:
            yield parse_network(text)
        except ValueError:
            continue


@lru_cache(_REMEMBERED)
def _is_named(names: tuple[str, ...], model: str, alias_of: str) -> bool:
    itself = alias_of or model
    return any(fitting(name, [itself]) if is_family(name) else name in (model, itself) for name in names)
