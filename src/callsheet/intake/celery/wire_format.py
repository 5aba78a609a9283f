"""Check of messages before Celery reads them.

A malformed message ends a plain Celery worker, which puts it back and dies again at its next start; or it makes the
worker reconnect for ever, or gets lost.
"""

import json
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from kombu.message import Message

_ACCEPTED = {"application/json"}


def find_problem(item: bytes) -> str | None:
    """Return what is wrong with an item of the list of a queue; None if a Celery worker can read it."""
    try:
        document = json.loads(item)
        if not isinstance(document, dict):
            return f"is of the type {type(document).__name__}, not an object"
        return _problem_of_parts(document) or _problem_of_body(document)
    except Exception as error:  # noqa: BLE001 - whatever is in the message
        return f"cannot be read: {type(error).__name__}: {error}"


def _problem_of_parts(document: Mapping[str, Any]) -> str | None:
    headers, properties = document.get("headers"), document.get("properties")
    if not isinstance(headers, dict):
        return "has no `headers`"
    if not isinstance(properties, dict) or not isinstance(properties.get("delivery_tag"), str):
        return "has no `properties.delivery_tag`"
    delivery = properties.get("delivery_info")
    if not isinstance(delivery, dict) or not {"exchange", "routing_key"} <= delivery.keys():
        return "has no `properties.delivery_info` with `exchange` and `routing_key`"
    if document.get("content-type") not in _ACCEPTED:
        return f"has the content type {document.get('content-type')!r}, not application/json"
    if not isinstance(document.get("content-encoding"), str):
        return "has no `content-encoding`"
    return None


def _problem_of_body(document: Mapping[str, Any]) -> str | None:
    body, headers = document.get("body"), document["headers"]
    if document["properties"].get("body_encoding") == "base64":
        body = b64decode(body or "", validate=True)
    message = Message(  # type: ignore[no-untyped-call]
        body=body,
        content_type=document["content-type"],
        content_encoding=document["content-encoding"],
        headers=headers,
        accept=_ACCEPTED,
        postencode="utf-8",
    )
    content = message.decode()  # type: ignore[no-untyped-call]
    if "task" not in headers:  # protocol 1
        return _missing_texts(content if isinstance(content, dict) else {}, "body")
    if not isinstance(content, list) or [type(part) for part in content] != [list, dict, dict]:
        return "has a body that is not [args, kwargs, embed]"
    return _missing_texts(headers, "headers")


def _missing_texts(fields: Mapping[str, Any], place: str) -> str | None:
    missing = [name for name in ("task", "id") if not isinstance(fields.get(name), str) or not fields[name]]
    return f"has no {' and '.join(f'`{place}.{name}`' for name in missing)}" if missing else None
