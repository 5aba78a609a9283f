"""Content sniffing: media types from magic bytes. File names and headers can be wrong."""

from pathlib import Path

_SNIFFED_BYTES = 64
_BRANDS = {
    b"qt  ": "video/quicktime",
    b"M4A ": "audio/mp4",
    b"M4B ": "audio/mp4",
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"mif1": "image/heic",
}
"""Media type by the major brand of an ISO base media file. Unlisted brands are MP4."""
_RIFF_FORMS = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
_MAGIC_BYTES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"fLaC": "audio/flac",
    b"ID3": "audio/mpeg",
    b"glTF": "model/gltf-binary",
    b"%PDF-": "application/pdf",
    b"PK\x03\x04": "application/zip",
}


def sniff_media_type(path: Path) -> str | None:
    """Return the media type of a file by its first bytes; None when they are not recognized."""
    with path.open("rb") as file:
        return sniff_bytes(file.read(_SNIFFED_BYTES))


def sniff_bytes(head: bytes) -> str | None:
    """Return the media type of contents that start with these bytes; None when they are not recognized."""
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "video/mp4")
    if head[:4] == b"RIFF":
        return _RIFF_FORMS.get(head[8:12])
    if head[:4] == b"\x1aE\xdf\xa3":
        return "video/webm" if b"webm" in head else "video/x-matroska"
    if head[:4] == b"OggS":
        return "video/ogg" if b"theora" in head else "audio/ogg"
    if head[:1] == b"\xff" and len(head) > 1 and head[1] & 0xE0 == 0xE0 and head[1] & 0x06:
        return "audio/mpeg"
    return next((media_type for magic, media_type in _MAGIC_BYTES.items() if head.startswith(magic)), None)
