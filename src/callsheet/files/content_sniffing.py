"""Media types by a file's first bytes, which do not lie as names and headers do."""

from pathlib import Path

_READ = 64
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
"""Of files in ISO boxes; all others are MP4."""
_RIFFS = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
_BEGINNINGS = {
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
    """Return what a file is by its first bytes; None when they do not tell."""
    with path.open("rb") as file:
        return sniff_bytes(file.read(_READ))


def sniff_bytes(head: bytes) -> str | None:
    """Return what a file is that begins like this; None when that does not tell."""
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "video/mp4")
    if head[:4] == b"RIFF":
        return _RIFFS.get(head[8:12])
    if head[:4] == b"\x1aE\xdf\xa3":
        return "video/webm" if b"webm" in head else "video/x-matroska"
    if head[:4] == b"OggS":
        return "video/ogg" if b"theora" in head else "audio/ogg"
    if head[:1] == b"\xff" and len(head) > 1 and head[1] & 0xE0 == 0xE0 and head[1] & 0x06:
        return "audio/mpeg"
    return next((kind for beginning, kind in _BEGINNINGS.items() if head.startswith(beginning)), None)
