"""What kind of output a file is: checks of a fetched file against what was expected."""

import asyncio
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from callsheet.domain.errors import BadOutput, FFmpegFailed
from callsheet.files.content_sniffing import sniff_media_type
from callsheet.files.documents import Document, read_document
from callsheet.files.media_types import OCTET_STREAM, guess_media_type
from callsheet.media.probing.cut_off import is_cut_off
from callsheet.media.probing.probe import MediaInfo, probe_details
from callsheet.media.probing.probe_process import MediaNotSupported
from callsheet.media.probing.truncation import truncation
from callsheet.providers.model_records import Makes

_KINDS: tuple[Makes, ...] = ("video", "image", "audio")
_ARTICLES: dict[str, str] = {"video": "a video", "image": "an image", "audio": "an audio file"}
_UNTYPED = frozenset({OCTET_STREAM, "binary/octet-stream", "application/x-www-form-urlencoded"})
_READABLE = frozenset(
    {
        *("video/mp4", "video/quicktime", "video/webm", "video/x-matroska", "video/x-msvideo", "video/ogg"),
        *("image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp", "image/svg+xml"),
        *("audio/mpeg", "audio/mp4", "audio/wav", "audio/x-wav", "audio/flac", "audio/ogg", "audio/opus", "audio/aac"),
    }
)
"""Types that every probe process reads: a file of one of these that cannot be read is damaged."""
_BINARY_SUFFIXES = frozenset(
    ".latent .safetensors .pt .ckpt .npy .npz .glb .fbx .usdz .spz .splat .exr .hdr .zip .gz .bin".split()  # noqa: SIM905
)
"""File names of formats that are never text."""
_TEXT_TYPES = frozenset(
    {
        *("application/json", "application/x-ndjson", "application/yaml", "application/xml", "application/javascript"),
        *("application/x-subrip", "model/obj", "model/mtl", "model/stl"),
    }
)
_TYPES_OF_DOCUMENTS = {
    "html": frozenset({"text/html", "application/xhtml+xml"}),
    "store_error": frozenset({"text/xml", "application/xml"}),
}


@dataclass(frozen=True, slots=True)
class ExpectedOutput:
    """What is known about an output before its contents are seen."""

    origin: str
    """Who delivers it, for messages."""
    name: str
    """File name."""
    media_type: str | None = None
    """As the provider declares it, before the download."""
    makes: Makes | None = None
    """What the model makes; None if that is not known."""

    @property
    def declared(self) -> str | None:
        """The media type by the provider, or else by the file name; None for unknown types."""
        for each in (self.media_type, guess_media_type(self.name)):
            plain = (each or "").partition(";")[0].strip().lower()
            if "/" in plain and plain not in _UNTYPED:
                return plain
        return None


async def check_output(path: Path, expected: ExpectedOutput) -> frozenset[str]:
    """Return the kinds that a fetched file can be used as: `video`, `image`, `audio`; none for other files.

    Raises BadOutput if it is not what was expected: an error page, an empty, damaged or cut file, another kind of
    media. Other files, such as texts, latents and 3D models, are accepted unless an error page came in their place.
    """
    contents = await asyncio.to_thread(_inspect, path, expected)
    if contents.size == 0:
        raise _bad_output(expected, "an empty file", damaged=True)
    if contents.document is not None:
        return _check_document(contents.document, contents.size, expected)
    if _is_media(contents.media_type) or _is_media(expected.declared or expected.makes):
        return await _check_media(path, contents, expected)
    return frozenset()


def check_kinds(kinds: frozenset[str], expected: ExpectedOutput, found: str) -> None:
    """Raise BadOutput if the outputs together have these kinds, and none is what the model makes."""
    if expected.makes is not None and expected.makes not in kinds:
        raise _bad_output(expected, found, damaged=True)


@dataclass(frozen=True, slots=True)
class _Contents:
    size: int
    media_type: str | None
    """Recognized by its first bytes."""
    document: Document | None
    truncation: str | None


def _inspect(path: Path, expected: ExpectedOutput) -> _Contents:
    media_type = sniff_media_type(path)
    if media_type == "audio/mpeg" and _kind(expected.declared or expected.makes) != "audio" and not _has_id3(path):
        # The mark of an MPEG audio frame is short, and occurs at the start of other binary files.
        media_type = None
    document = None if media_type is not None else read_document(path)
    return _Contents(path.stat().st_size, media_type, document, truncation(path))


def _has_id3(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(3) == b"ID3"


def _check_document(document: Document, size: int, expected: ExpectedOutput) -> frozenset[str]:
    declared = expected.declared
    if document.kind == "svg" and declared in (None, "image/svg+xml"):
        return frozenset({"image"})
    if _is_media(declared or expected.makes) or not _may_be(document, expected):
        found = f"{document.name} ({size:,} bytes, '{document.excerpt}')"
        raise _bad_output(expected, found, damaged=False)
    return frozenset()


def _may_be(document: Document, expected: ExpectedOutput) -> bool:
    """Return whether a file that is not media may contain this document."""
    declared = expected.declared
    if document.kind in _TYPES_OF_DOCUMENTS:
        return declared in _TYPES_OF_DOCUMENTS[document.kind]
    if PurePosixPath(expected.name).suffix.lower() in _BINARY_SUFFIXES:
        return False
    return declared is None or _is_text(declared) or not declared.startswith("application/")


def _is_text(media_type: str) -> bool:
    return media_type.startswith("text/") or media_type in _TEXT_TYPES or media_type.endswith(("+json", "+xml"))


async def _check_media(path: Path, contents: _Contents, expected: ExpectedOutput) -> frozenset[str]:
    media_type = contents.media_type or expected.declared
    if contents.truncation is not None:
        raise _bad_output(expected, f"a file that is cut off ({contents.truncation})", damaged=True)
    try:
        media = await probe_details(path, to_end=True)
    except MediaNotSupported:
        return _kinds_of_type(media_type)
    except FFmpegFailed as error:
        if media_type is not None and _is_media(media_type) and media_type not in _READABLE:
            return _kinds_of_type(media_type)
        raise _bad_output(expected, _describe_damage(path, contents, error), damaged=True) from None
    _check_length(media, expected)
    kinds = _kinds_of_media(media, media_type)
    declared = _kind(expected.declared)
    if declared is not None and not kinds & {declared, expected.makes}:
        found = f"{_ARTICLES[min(kinds)]} ({contents.size:,} bytes of {media.probe.format})"
        raise _bad_output(expected, found, damaged=True)
    return kinds


def _check_length(media: MediaInfo, expected: ExpectedOutput) -> None:
    stated = media.probe.duration or 0.0
    if is_cut_off(media):
        found = f"a file that is cut off (it has {stated - media.missing:.1f} of {stated:.1f} s)"
        raise _bad_output(expected, found, damaged=True)


def _kinds_of_media(media: MediaInfo, media_type: str | None) -> frozenset[str]:
    if not media.has_video:
        return frozenset({"audio"})
    if media.still:
        return frozenset({"image"})
    return _kinds_of_type(media_type) | {"video", *(["audio"] if media.has_audio else [])}


def _kinds_of_type(media_type: str | None) -> frozenset[str]:
    kind = _kind(media_type)
    # An image format may be animated.
    return frozenset({"image", "video"}) if kind == "image" else frozenset({kind} if kind else ())


def _is_media(media_type: str | None) -> bool:
    return _kind(media_type) is not None


def _kind(media_type: str | None) -> str | None:
    kind = (media_type or "").partition("/")[0]
    return kind if kind in _KINDS else None


def _describe_damage(path: Path, contents: _Contents, error: FFmpegFailed) -> str:
    reason = error.message.removeprefix(f"'{path.name}' ")
    kind = f" of {contents.media_type}" if contents.media_type else ""
    return f"a damaged file ({contents.size:,} bytes{kind}; it {reason})"


def _bad_output(expected: ExpectedOutput, found: str, *, damaged: bool) -> BadOutput:
    kind = _kind(expected.declared or expected.makes)
    wanted = f"{_ARTICLES[kind]} ({expected.name})" if kind else expected.name
    return BadOutput(f"{expected.origin} returned {found} instead of {wanted}.", found=found, damaged=damaged)
