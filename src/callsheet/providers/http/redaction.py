"""Redaction of secrets in the error messages of providers."""

import re
from collections.abc import Mapping

from callsheet.files.fetch import redact_url
from callsheet.providers.http.response import ProviderResponse

MAX_MESSAGE = 300
"""Maximum length, in characters, of a provider's text in our messages."""
_MIN_KEY_LENGTH = 12
_URL = re.compile(r"https?://[^\s\"'<>]+", re.IGNORECASE)
_TOKEN = re.compile(r"(\b(?:\w*token|sig|signature|X-Amz-[\w-]{1,64})(?:=|%3D|%253D))[\w.~%+/-]+", re.IGNORECASE)
"""A secret in a URL that is encoded, for example inside the query of another URL."""


def sanitize(response: ProviderResponse) -> str:
    """Return status and error message of a response, without secrets and limited in length."""
    fields = response.fields()
    for key in ("detail", "message", "error", "title", "failure", "failureCode"):
        value = fields.get(key)
        if isinstance(value, dict):
            value = value.get("message")
        if isinstance(value, list):
            value = "; ".join(str(each.get("msg", each)) if isinstance(each, dict) else str(each) for each in value)
        if isinstance(value, str) and value.strip():
            return f"{response.status} {redact_message(value)[:MAX_MESSAGE]}"
    return str(response.status)


def redact_message(message: str) -> str:
    """Return a provider's message on one line, without the queries of URLs: they contain tokens, ours as well."""
    return _TOKEN.sub(r"\1...", _URL.sub(lambda match: redact_url(match[0]), " ".join(message.split())))


def remove_keys(auth_headers: Mapping[str, str], body: bytes) -> bytes:
    """Return a body without the API keys of the request: some providers repeat them in their errors."""
    for key in (value.split(" ")[-1].encode() for value in auth_headers.values()):
        body = body.replace(key, b"...") if len(key) >= _MIN_KEY_LENGTH else body
    return body
