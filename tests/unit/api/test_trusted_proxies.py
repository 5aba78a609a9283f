"""Which connections are those of trusted proxies."""

import pytest

from callsheet.api.trusted_proxies import TrustedProxies


@pytest.mark.parametrize(
    ("text", "address", "trusted"),
    [
        ("127.0.0.1,::1", "127.0.0.1", True),
        ("127.0.0.1,::1", "::1", True),
        ("127.0.0.1,::1", "127.0.0.2", False),
        ("127.0.0.1, 10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "::ffff:10.1.2.3", True),
        ("10.0.0.0/8", "2001:db8::1", False),
        ("*", "203.0.113.7", True),
        ("", "127.0.0.1", False),
        ("/run/proxy.sock,10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "no address", False),
    ],
)
def test_addresses_and_networks_are_trusted(text, address, trusted):
    assert (address in TrustedProxies(text)) is trusted
