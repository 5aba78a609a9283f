"""Files that stand in an answer as bare base64, told from other texts by how they begin."""

import base64
import binascii
from typing import Any

_BEGINNINGS = (
    (b"\x89PNG\r\n\x1a\n", 0, "image/png"),
    (b"\xff\xd8\xff", 0, "image/jpeg"),
    (b"GIF8", 0, "image/gif"),
    (b"WEBP", 8, "image/webp"),
    (b"WAVE", 8, "audio/wav"),
    (b"ftyp", 4, "video/mp4"),
    (b"\x1aE\xdf\xa3", 0, "video/webm"),
    (b"ID3", 0, "audio/mpeg"),
    (b"OggS", 0, "audio/ogg"),
    (b"fLaC", 0, "audio/flac"),
    (b"glTF", 0, "model/gltf-binary"),
)
_SHORTEST = 64
_HEAD = 32
_DEEPEST = 32


def with_data_uris(answer: Any, depth: int = 0) -> Any:
    """Return any JSON value with data URIs in the place of files that are bare base64."""
    if isinstance(answer, str):
        media_type = _media_type(answer)
        return answer if media_type is None else f"data:{media_type};base64,{''.join(answer.split())}"
    if depth > _DEEPEST:
        return None
    if isinstance(answer, list):
        return [with_data_uris(value, depth + 1) for value in answer]
    if isinstance(answer, dict):
        return {name: with_data_uris(value, depth + 1) for name, value in answer.items()}
    return answer


def decode_base64(text: str) -> bytes | None:
    """Return what base64 holds; None for what is none."""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return None


def _media_type(text: str) -> str | None:
    if len(text) < _SHORTEST:
        return None
    head = decode_base64(text[:_HEAD]) or b""
    return next((kind for mark, at, kind in _BEGINNINGS if head[at : at + len(mark)] == mark), None)
