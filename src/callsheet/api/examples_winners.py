"""Examples of winning ads for the OpenAPI document."""

from typing import Any

_WINNER = {
    "text": "Ready for the beach? The towel that dries in ten minutes.",
    "tags": ["ugc", "summer sale"],
    "script": None,
    "attributes": {"hookType": "question"},
    "metrics": {"roas": 4.2},
    "adId": "red",
    "look": "vertical video of 12 seconds, mostly blue and white, bright, fast cuts",
    "indexedAt": "2026-11-20T09:30:00Z",
}


def _response(value: dict[str, Any]) -> dict[str, Any]:
    return {"description": "Found", "content": {"application/json": {"example": value}}}


winner = _response(_WINNER)
page = _response({"winners": [{**_WINNER, "score": 0.6132}], "total": 214, "outdated": 0, "nextOffset": None})
picture = {
    "required": True,
    "description": "A picture of at most 20 MiB",
    "content": {
        media_type: {"schema": {"type": "string", "format": "binary"}, "example": "…"}
        for media_type in ("image/jpeg", "image/png", "image/webp", "application/octet-stream")
    },
}
