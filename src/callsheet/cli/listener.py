"""The listening socket of a command that serves."""

import socket

from callsheet.domain.errors import ConfigurationError


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address; port 0 is a free one. Raises ConfigurationError if it is in use."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        raise ConfigurationError(
            f"Cannot listen at {host} port {port}: {error}. Stop the process that uses it, or choose another port with "
            "--port."
        ) from None
