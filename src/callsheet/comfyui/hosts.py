"""The ComfyUI servers named in the settings."""

from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from callsheet.domain.errors import ConfigurationError
from callsheet.settings import Settings

DEFAULT_URL = "http://127.0.0.1:8188"
_OPTIONS = frozenset({"name", "capacity", "tags"})


@dataclass(frozen=True, slots=True)
class Host:
    """One server of COMFYUI_API_URL."""

    url: str
    name: str
    capacity: int = 1
    """Prompts that one worker runs there at the same time."""
    tags: frozenset[str] = frozenset()


def find_hosts(settings: Settings, server: str | None) -> list[Host]:
    """Return the servers of the settings; with `server`, the one of this name, or the one at this URL.

    Raises ConfigurationError when COMFYUI_API_URL or the URL is invalid.
    """
    hosts = parse_hosts(settings)
    if server is None:
        return hosts
    named = [host for host in hosts if host.name == server]
    return named or [_parse_host(server)]


def parse_hosts(settings: Settings) -> list[Host]:
    """Return the servers in the order of the settings. Raises ConfigurationError when COMFYUI_API_URL is invalid."""
    urls = settings.comfyui_api_url
    if urls is None:
        return [] if settings.comfyui_path is not None else [_parse_host(DEFAULT_URL)]
    hosts = [_parse_host(part) for part in urls.replace(",", " ").split()]
    names = [host.name for host in hosts]
    if duplicates := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigurationError(
            f"COMFYUI_API_URL contains {', '.join(duplicates)} twice; give the servers different names with `#name=…`."
        )
    return hosts


def _parse_host(text: str) -> Host:
    shown = _without_password(text)
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        _ = parts.port
    except ValueError as error:
        raise ConfigurationError(f"'{shown}' in COMFYUI_API_URL is not a URL: {type(error).__name__}.") from None
    options = {key: values[-1] for key, values in parse_qs(parts.fragment).items()}
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or options.keys() - _OPTIONS:
        raise ConfigurationError(
            f"'{shown}' in COMFYUI_API_URL is not of the form http://host:8188, optionally followed by "
            "#name=…&capacity=2&tags=wan+flux."
        )
    capacity = options.get("capacity", "1")
    if not capacity.isdecimal() or int(capacity) < 1:
        raise ConfigurationError(f"'{shown}' in COMFYUI_API_URL: capacity must be a whole number of at least 1.")
    return Host(
        url=parts._replace(fragment="").geturl().rstrip("/"),
        # The default name leaves out user and password.
        name=options.get("name", parts.netloc.rpartition("@")[2]),
        capacity=int(capacity),
        tags=frozenset(options.get("tags", "").split()),
    )


def _without_password(text: str) -> str:
    """Return an address for messages, also a malformed one: without everything before its last `@`."""
    scheme, separator, rest = text.rpartition("://") if "://" in text else ("", "", text)
    user, at, host = rest.rpartition("@")
    return f"{scheme.rpartition('@')[2]}{separator}{'…@' if user else at}{host}"
