"""Refuse to listen beyond loopback unless an API key is needed."""

from ipaddress import ip_address

from callsheet.domain.errors import ConfigurationError
from callsheet.settings import Settings

_KNOWN_PASSWORDS = frozenset({"changeme"})
"""Passwords of public examples."""


def require_api_key_beyond_loopback(settings: Settings, *, has_keys: bool = False) -> None:
    """Raise ConfigurationError if other machines could reach a server that needs no API key, or a well-known password.

    `has_keys` is whether the database has keys.
    """
    if settings.api_key is None and not has_keys and not is_loopback(settings.host):
        raise ConfigurationError(
            f"Listening on {settings.host} without an API key would give every machine that reaches it full access; "
            "set CALLSHEET_API_KEY (at least 16 characters), create a key with `callsheet keys create`, or listen on "
            "127.0.0.1."
        )
    password = settings.console_password
    if password is not None and password.get_secret_value() in _KNOWN_PASSWORDS and not is_loopback(settings.host):
        raise ConfigurationError(
            f"Listening on {settings.host} with the well-known console password 'changeme' would let everybody in; set "
            "CALLSHEET_CONSOLE_PASSWORD, BULL_BOARD_PASSWORD or FLOWER_PASSWORD to another one, or listen on 127.0.0.1."
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
