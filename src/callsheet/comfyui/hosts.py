"""The ComfyUI servers that the settings name."""

from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from callsheet.domain.errors import ConfigurationError
from callsheet.settings import Settings

DEFAULT = "http://127.0.0.1:8188"
_KNOWN = frozenset({"name", "capacity", "tags"})


@dataclass(frozen=True, slots=True)
class Host:
    """A server as it is named in the settings."""

    url: str
    name: str
    capacity: int = 1
    """Prompts that one worker has there at a time."""
    tags: frozenset[str] = frozenset()


def parse_hosts(settings: Settings) -> list[Host]:
    """Return the servers in the order of the settings; raises ConfigurationError for what cannot be read."""
    given = settings.comfyui_api_url
    if given is None:
        return [] if settings.comfyui_path is not None else [_host(DEFAULT)]
    hosts = [_host(part) for part in given.replace(",", " ").split()]
    names = [host.name for host in hosts]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigurationError(f"COMFYUI_API_URL names {', '.join(twice)} twice; `#name=…` tells servers apart.")
    return hosts


def _host(text: str) -> Host:
    address = text if "://" in text else f"http://{text}"
    parts = urlsplit(address)
    about = {key: values[-1] for key, values in parse_qs(parts.fragment).items()}
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or about.keys() - _KNOWN:
        raise ConfigurationError(
            f"'{text}' in COMFYUI_API_URL is not of the form http://host:8188, with "
            "#name=…&capacity=2&tags=wan+flux behind it if need be."
        )
    capacity = about.get("capacity", "1")
    if not capacity.isdecimal() or int(capacity) < 1:
        raise ConfigurationError(f"'{text}' in COMFYUI_API_URL: the capacity is a number from 1 on.")
    url = parts._replace(fragment="").geturl().rstrip("/")
    return Host(
        url, about.get("name", parts.netloc.rpartition("@")[2]), int(capacity), frozenset(about.get("tags", "").split())
    )
