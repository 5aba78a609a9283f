"""Media types by file extension, independent of the operating system's tables."""

import mimetypes
from pathlib import PurePosixPath

OCTET_STREAM = "application/octet-stream"

_TYPES = mimetypes.MimeTypes()
_TYPES_BY_SUFFIX = {
    ".aac": "audio/aac",
    ".ass": "text/x-ssa",
    ".avif": "image/avif",
    ".flac": "audio/flac",
    ".heic": "image/heic",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".m4a": "audio/mp4",
    ".m4v": "video/mp4",
    ".md": "text/markdown",
    ".mka": "audio/x-matroska",
    ".mkv": "video/x-matroska",
    ".mov": "video/quicktime",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".ogg": "audio/ogg",
    ".opus": "audio/opus",
    ".png": "image/png",
    ".srt": "application/x-subrip",
    ".ts": "video/mp2t",
    ".vtt": "text/vtt",
    ".wav": "audio/wav",
    ".webm": "video/webm",
    ".webp": "image/webp",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}
_SUFFIXES_BY_TYPE = {
    "application/ogg": ".ogg",
    "audio/mp3": ".mp3",
    "audio/mp4": ".m4a",
    "audio/mpeg": ".mp3",
    "audio/vnd.wave": ".wav",
    "audio/wave": ".wav",
    "audio/x-m4a": ".m4a",
    "audio/x-wav": ".wav",
    "image/jpeg": ".jpg",
    "text/plain": ".txt",
    "video/mp4": ".mp4",
}

for _suffix, _type in _TYPES_BY_SUFFIX.items():
    _TYPES.add_type(_type, _suffix)


def guess_media_type(name: str) -> str:
    """Return the media type for a file name's extension; `application/octet-stream` if it is unknown."""
    suffix = PurePosixPath(name).suffix.lower()
    return _TYPES_BY_SUFFIX.get(suffix) or _TYPES.types_map[True].get(suffix) or OCTET_STREAM


def suffix_for(media_type: str) -> str:
    """Return the usual extension of a media type, with its dot; empty if it is unknown."""
    plain = media_type.split(";", 1)[0].strip().lower()
    if plain == OCTET_STREAM:
        return ""
    return _SUFFIXES_BY_TYPE.get(plain) or _TYPES.guess_extension(plain) or ""


def is_safe_inline(media_type: str) -> bool:
    """Return whether a browser may display the file inline from this server's origin.

    True for images, video, audio and plain text. False for types that can contain scripts, such as HTML and SVG.
    """
    plain = media_type.split(";", 1)[0].strip().lower()
    kind = plain.partition("/")[0]
    return (kind in {"audio", "video", "image"} and plain != "image/svg+xml") or plain in {
        "text/plain",
        "text/vtt",
        "application/json",
    }
