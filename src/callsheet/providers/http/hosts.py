"""The hosts of a provider: only these receive its API key."""

from dataclasses import dataclass

import httpx2


@dataclass(frozen=True, slots=True)
class ProviderHosts:
    """The API key is sent to the origin of `base_url`, to `origins`, and by https to `domains`; nowhere else."""

    base_url: str
    origins: frozenset[str] = frozenset()
    """Further origins: scheme, host and port."""
    domains: frozenset[str] = frozenset()
    """Domains that belong to the provider, with their subdomains."""

    def includes(self, url: str) -> bool:
        """Return whether a URL belongs to the provider, so that its API key can be sent there."""
        origin = origin_of(url)
        if origin == origin_of(self.base_url) or origin in self.origins:
            return True
        secure = origin.startswith("https://") and origin.endswith(":443")
        return secure and is_within(host_of(url), self.domains)


def host_of(url: str) -> str:
    """Return the host of a URL; an empty text for a malformed one."""
    try:
        return httpx2.URL(url).host
    except (httpx2.InvalidURL, ValueError):
        return ""


def origin_of(url: str) -> str:
    """Return scheme, host and port of a URL, the default port included; an empty text for a malformed one."""
    try:
        parts = httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError):
        return ""
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
    return f"{parts.scheme}://{parts.host}:{port}"


def is_within(host: str, domains: frozenset[str]) -> bool:
    """Return whether a host is one of the domains or a subdomain of one."""
    return any(host == domain or host.endswith(f".{domain}") for domain in domains)
