"""The bucket in the URL of an S3-compatible server."""

import ipaddress
import re
from urllib.parse import urlsplit, urlunsplit

_MIN_LABELS = 3
"""Labels of a host name with a bucket: `my-bucket.example.com`."""
_SERVER_LABEL = re.compile(r"s3([.-].*)?|minio|storage|objects?|[0-9a-f]{32}")
"""First labels of host names that name a server or, with R2, an account; never a bucket."""


def bucket_in_url(url: str) -> str:
    """Return the bucket of a URL: the only segment of its path, else the first label of its host name.

    Raises ValueError if the URL contains no bucket.
    """
    parts = urlsplit(url)
    path = parts.path.strip("/")
    if path and "/" not in path:
        return path
    host = parts.hostname or ""
    label, _, rest = host.partition(".")
    if path or _is_address(host) or rest.count(".") < _MIN_LABELS - 2 or _SERVER_LABEL.fullmatch(label):
        raise ValueError(
            "S3_BUCKET is not set, and the URL of the server contains no bucket. Set CALLSHEET_S3_BUCKET (or "
            "BUCKET_NAME), or write the bucket into the URL: https://my-bucket.s3.example.com or "
            "https://s3.example.com/my-bucket"
        )
    return label


def without_bucket_path(url: str, bucket: str) -> str:
    """Return the URL without a path that consists of the bucket only."""
    parts = urlsplit(url)
    path = "" if parts.path.strip("/") == bucket else parts.path.rstrip("/")
    return urlunsplit(parts._replace(path=path))


def starts_with_bucket(url: str, bucket: str) -> bool:
    """Return whether the host name of a URL starts with the bucket."""
    return (urlsplit(url).hostname or "").startswith(f"{bucket.lower()}.")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
