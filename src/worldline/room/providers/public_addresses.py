"""Addresses that anybody may be asked at: where a link that an endpoint chose may lead."""

from __future__ import annotations

import ipaddress
import socket
from typing import TypeAlias
from urllib.request import getproxies, proxy_bypass

from worldline.room.providers.failures import GarbledError

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # an IPv4 address in its last 32 bits


def is_public(address: str) -> bool:
    """Whether an address belongs to the open network: to no machine, link or house of its own.

    An IPv4 address inside an IPv6 one counts as itself.

    >>> [is_public(one) for one in ("1.1.1.1", "10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1")]
    [True, False, False, False]
    """
    effective_address = _effective_address(ipaddress.ip_address(address.partition("%")[0]))
    is_special = (
        effective_address.is_multicast
        or effective_address.is_reserved
        or getattr(effective_address, "is_site_local", False)
    )
    return effective_address.is_global and not is_special


def public_address(host: str, port: int) -> str:
    """The address at which a host is to be asked: what was checked is what is connected to.

    Raises: GarbledError where any address of it is not public, OSError where it has none.
    """
    try:
        addresses = [str(ipaddress.ip_address(host))]
    except ValueError:
        rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
        addresses = [str(row[4][0]) for row in rows]
    if not addresses or not all(map(is_public, addresses)):
        raise GarbledError("its picture lies on no public network; accepted is the endpoint's own")
    return addresses[0]


def uses_proxy(host: str) -> bool:
    """Whether a proxy is asked for an https address of a host."""
    return bool(getproxies().keys() & {"https", "all"}) and not proxy_bypass(host)


def _effective_address(address: Address) -> Address:
    """The IPv4 address that an IPv6 one holds; else the address."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo[1] if address.teredo else None
    return address.ipv4_mapped or address.sixtofour or teredo or address
