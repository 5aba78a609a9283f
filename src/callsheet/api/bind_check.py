"""Who may stand before the door without a key: this machine alone."""

from ipaddress import ip_address

from callsheet.domain.errors import ConfigurationError
from callsheet.settings import Settings


def require_api_key_beyond_loopback(settings: Settings) -> None:
    """Raise ConfigurationError when others could reach a server that asks for no key."""
    if settings.api_key is None and not is_loopback(settings.host):
        raise ConfigurationError(
            f"Listening on {settings.host} without an API key would let anyone in who reaches it; set "
            "CALLSHEET_API_KEY (at least 16 characters), or listen on 127.0.0.1."
        )


def is_loopback(host: str) -> bool:
    """Tell whether a host name or an address can only mean this machine."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
