"""Where the node may connect to when somebody else names the address: nothing of its own, nothing private unless its operator allows it."""

import asyncio
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from dxmesh_schemas.problem import Invalid

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
_RESOLVE_SECONDS = 5.0
_RESOLVERS = ThreadPoolExecutor(max_workers=16, thread_name_prefix="resolve")  # somebody's slow name server holds no other work up
_CARRIES_IPV4 = (ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/48"), ip_network("2002::/16"), ip_network("2001::/32"))


class DestinationRefused(Invalid):
    """The address is of a network this node does not connect to."""

    slug, title = "destination-refused", "This node does not connect to that address"


class DestinationUnknown(Invalid):
    """The name has no address now."""

    slug, title = "destination-unknown", "The name has no address"


def is_allowed(address: Address, allowed: Sequence[Network]) -> bool:
    """Say whether the operator named a network with this address."""
    return any(plain(address) in network for network in allowed)


def is_public(address: Address) -> bool:
    """Say whether an address is anybody's to reach: global, one host's, and no tunnel to an IPv4 address (RFC 6890, RFC 6052)."""
    address = plain(address)
    if isinstance(address, IPv6Address) and any(address in network for network in _CARRIES_IPV4):
        return False
    is_site_local = isinstance(address, IPv6Address) and address.is_site_local
    return address.is_global and not address.is_multicast and not address.is_reserved and not is_site_local


def plain(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one stands for (RFC 4291 section 2.5.5.2), or the address."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


async def addresses_of(host: str, port: int) -> Sequence[Address]:
    """Return the addresses a name has now. Raises: DestinationUnknown (422)."""
    look = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    try:
        async with asyncio.timeout(_RESOLVE_SECONDS):
            found = await asyncio.get_running_loop().run_in_executor(_RESOLVERS, look)
    except (OSError, TimeoutError, UnicodeError, OverflowError) as missing:
        raise DestinationUnknown(f"{host} has no address that this node can find: {missing or 'no answer in time'}") from missing
    return [plain(ip_address(str(entry[4][0]).partition("%")[0])) for entry in found]


async def resolve(host: str, port: int, allowed: Sequence[Network]) -> Address:
    """Return the address to connect to; connect to it and not to the name, which may mean another one a moment later.

    A name with several addresses is refused when one of them is: which one is met is the resolver's choice.
    Raises: DestinationUnknown, DestinationRefused (422).
    """
    addresses = await addresses_of(host, port)
    for address in addresses:
        if not is_public(address) and not is_allowed(address, allowed):
            raise DestinationRefused(
                f"{host} is {address}, of a private or special network; give a public address, or ask the node's operator to "
                "allow the network (SUBSCRIPTIONS__ALLOWED_NETWORKS)"
            )
    return addresses[0]
