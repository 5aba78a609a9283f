"""Client of the configured S3 bucket."""

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx2
from obstore.store import S3Store

from callsheet.domain.errors import ConfigurationError
from callsheet.http_clients import Proxy, proxy_for
from callsheet.settings import Settings
from callsheet.settings.bucket_url import starts_with_bucket

if TYPE_CHECKING:
    from obstore.store import RetryConfig, S3Credential

_RETRY: "RetryConfig" = {
    "max_retries": 4,
    "retry_timeout": timedelta(seconds=30),
    "backoff": {
        "init_backoff": timedelta(milliseconds=100),
        "max_backoff": timedelta(seconds=2),
        "base": 2,
    },
}

_METADATA_HOSTS = ("169.254.169.254", "169.254.170.2", "fd00:ec2::254")
"""Addresses of cloud machines where they get the credentials of their role."""
_AWS_HOST = re.compile(r"(^|\.)s3([.-](dualstack\.)?(?P<region>[a-z]{2}-[a-z-]+-[0-9]))?\.amazonaws\.com$")


def open_bucket(settings: Settings, bucket: str) -> S3Store:
    """Return a client for the bucket. It does not connect yet.

    Without keys in the settings, the credentials of the environment or of the machine's role are used.
    Raises ConfigurationError for invalid settings.
    """
    options: dict[str, Any] = {
        "client_options": {**_client_options(settings.s3_endpoint), **_proxy_options(bucket_proxy(settings))},
        "retry_config": _RETRY,
        **_location_options(settings, bucket),
    }
    if (credentials := _credentials(settings)) is not None:
        # A credential provider replaces the environment completely. With plain options, a session token from the
        # environment would be combined with the configured keys.
        options["credential_provider"] = lambda: credentials
    return S3Store(bucket, prefix=settings.s3_prefix.strip("/") or None, **options)


def endpoint_host(endpoint: str | None) -> str:
    """Return the host of an S3 endpoint for messages. Raises ConfigurationError for an invalid URL."""
    if endpoint is None:
        return "AWS"
    parts = urlsplit(endpoint)
    if parts.scheme.lower() not in {"http", "https"} or not parts.hostname:
        raise ConfigurationError("CALLSHEET_S3_ENDPOINT must be a URL such as https://s3.example.com")
    return parts.netloc.rpartition("@")[2]


def _client_options(endpoint: str | None) -> dict[str, Any]:
    return {
        "allow_http": bool(endpoint and endpoint.lower().startswith("http://")),
        "connect_timeout": "5s",
        # Limits each wait for a response, including the upload of one part.
        "read_timeout": "120s",
        # Limits a whole request. The download of many gigabytes is one request.
        "timeout": "24h",
    }


def bucket_proxy(settings: Settings) -> Proxy | None:
    """Return the proxy of the environment that requests to the bucket go through, if any."""
    return proxy_for(httpx2.URL(settings.s3_endpoint or f"https://{settings.s3_bucket}.s3.amazonaws.com"))


def _proxy_options(proxy: Proxy | None) -> dict[str, Any]:
    # Without a proxy URL, the client would read the environment itself, also for a bucket on this machine.
    if proxy is None:
        return {"proxy_url": "http://unused.invalid", "proxy_excludes": "*,0.0.0.0/0,::/0"}
    return {"proxy_url": proxy.url, "proxy_excludes": ",".join(_METADATA_HOSTS)}


def _location_options(settings: Settings, bucket: str) -> dict[str, Any]:
    if settings.s3_endpoint:
        # With virtual-hosted URLs, obstore takes an endpoint that already contains the bucket.
        is_virtual = settings.s3_addressing == "virtual" or (
            settings.s3_addressing == "auto" and starts_with_bucket(settings.s3_endpoint, bucket)
        )
        return {
            "endpoint": settings.s3_endpoint,
            "region": _region_of(settings),
            "virtual_hosted_style_request": is_virtual,
        }
    # AWS has no region `auto`, and its certificates do not cover bucket names with dots.
    region = "us-east-1" if settings.s3_region == "auto" else settings.s3_region
    return {"region": region, "virtual_hosted_style_request": "." not in bucket}


def _region_of(settings: Settings) -> str:
    """Return the region: AWS has no region `auto`, but the host names of its endpoints contain one."""
    match = _AWS_HOST.search(urlsplit(settings.s3_endpoint or "").hostname or "")
    if settings.s3_region != "auto" or match is None:
        return settings.s3_region
    return match["region"] or "us-east-1"


def _credentials(settings: Settings) -> "S3Credential | None":
    key, secret = settings.s3_access_key, settings.s3_secret_key
    if key is None and secret is None:
        return None
    if key is None or secret is None:
        raise ConfigurationError("CALLSHEET_S3_ACCESS_KEY and CALLSHEET_S3_SECRET_KEY must be set together")
    return {
        "access_key_id": key.get_secret_value(),
        "secret_access_key": secret.get_secret_value(),
        "token": None,
        "expires_at": None,
    }
