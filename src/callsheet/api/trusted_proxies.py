"""The proxies in front of the server, whose connections carry the requests of many clients."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network


class TrustedProxies:
    """Addresses and networks, as in uvicorn's variable `FORWARDED_ALLOW_IPS`; `*` is all addresses.

    "10.1.2.3" in TrustedProxies("127.0.0.1, 10.0.0.0/8")
    """

    def __init__(self, text: str) -> None:
        """Use the comma-separated text. What is no address and no network, such as the path of a socket, is ignored."""
        parts = [part.strip() for part in text.split(",")]
        self._trusts_all = "*" in parts
        self._networks = [network for part in parts if (network := _network(part)) is not None]
        self._find = lru_cache(1000)(self._search)

    def __contains__(self, address: str) -> bool:
        """Return whether an address is one of a trusted proxy."""
        return self._trusts_all or self._find(address)

    def _search(self, text: str) -> bool:
        address = _address(text)
        return address is not None and any(address in network for network in self._networks)


def _network(text: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    # A listener for both families shows addresses of IPv4 in this form.
    return getattr(address, "ipv4_mapped", None) or address
