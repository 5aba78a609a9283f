"""A download name added to a presigned S3 URL, by signing it anew (AWS Signature Version 4, query form)."""

import hashlib
import hmac
from urllib.parse import parse_qsl, quote, urlsplit

from callsheet.files.disposition import content_disposition

_ALGORITHM = "AWS4-HMAC-SHA256"


def add_download_name(url: str, secret_key: str, name: str, *, method: str = "GET") -> str:
    """Return the URL changed so that the answer carries `Content-Disposition: attachment` with this name."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    del query["X-Amz-Signature"]
    query["response-content-disposition"] = content_disposition(name)
    text = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in sorted(query.items()))
    request = "\n".join([method, parts.path, text, f"host:{parts.netloc}\n", "host", "UNSIGNED-PAYLOAD"])
    signature = _signature(request, secret_key, query["X-Amz-Date"], query["X-Amz-Credential"])
    return f"{parts.scheme}://{parts.netloc}{parts.path}?{text}&X-Amz-Signature={signature}"


def _signature(request: str, secret_key: str, date: str, credential: str) -> str:
    scope = credential.split("/", 1)[1]
    key = f"AWS4{secret_key}".encode()
    for word in scope.split("/"):
        key = hmac.digest(key, word.encode(), "sha256")
    to_sign = "\n".join([_ALGORITHM, date, scope, hashlib.sha256(request.encode()).hexdigest()])
    return hmac.new(key, to_sign.encode(), "sha256").hexdigest()
