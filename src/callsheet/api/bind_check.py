"""Refuse to listen beyond loopback unless an API key is set."""

from ipaddress import ip_address

from callsheet.domain.errors import ConfigurationError
from callsheet.settings import Settings


def require_api_key_beyond_loopback(settings: Settings) -> None:
    """Raise ConfigurationError if other machines could reach a server that has no API key."""
    if settings.api_key is None and not is_loopback(settings.host):
        raise ConfigurationError(
            f"Listening on {settings.host} without an API key would give every machine that reaches it full access; "
            "set CALLSHEET_API_KEY (at least 16 characters), or listen on 127.0.0.1."
        )


def is_loopback(host: str) -> bool:
    """Return whether a host name or an IP address can only mean this machine."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
