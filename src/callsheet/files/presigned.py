"""Adds parameters to a presigned S3 URL and signs it again (AWS Signature Version 4, query form)."""

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, urlsplit

from callsheet.files.disposition import content_disposition

_ALGORITHM = "AWS4-HMAC-SHA256"


def add_download_name(url: str, secret_key: str, name: str, *, method: str = "GET") -> str:
    """Return a presigned URL whose response carries `Content-Disposition: attachment` with this name."""
    return add_query(url, secret_key, {"response-content-disposition": content_disposition(name)}, method=method)


def add_query(url: str, secret_key: str, parameters: Mapping[str, str], *, method: str) -> str:
    """Return a presigned URL with further query parameters. The path of `url` can differ from the signed one."""
    parts = urlsplit(url)
    query = {**dict(parse_qsl(parts.query, keep_blank_values=True)), **parameters}
    del query["X-Amz-Signature"]
    canonical_query = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in sorted(query.items()))
    request = "\n".join([method, parts.path, canonical_query, f"host:{parts.netloc}\n", "host", "UNSIGNED-PAYLOAD"])
    signature = _signature(request, secret_key, query["X-Amz-Date"], query["X-Amz-Credential"])
    return f"{parts.scheme}://{parts.netloc}{parts.path}?{canonical_query}&X-Amz-Signature={signature}"


def _signature(request: str, secret_key: str, date: str, credential: str) -> str:
    scope = credential.split("/", 1)[1]
    key = f"AWS4{secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    to_sign = "\n".join([_ALGORITHM, date, scope, hashlib.sha256(request.encode()).hexdigest()])
    return hmac.new(key, to_sign.encode(), "sha256").hexdigest()
