"""Conversion between the media URLs of OpenTimelineIO and media sources."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from callsheet.domain.media_source import MediaSource, SourceKind

_SOURCE_PREFIXES = ("http://", "https://", "storage:", "artifact:", "data:")


def source_from_url(url: str, folder: Path) -> str:
    """Return the media source of a URL. Relative URLs start from `folder`, the folder of the OTIO file.

    Raises ValueError for a URL that is neither a local file nor a supported source.
    """
    if url.lower().startswith(_SOURCE_PREFIXES):
        return url
    if url.lower().startswith("file:"):
        parts = urlsplit(url)
        if parts.netloc not in ("", "localhost"):
            raise ValueError(f"'{url}' is on the machine '{parts.netloc}'")
        return str(folder / unquote(url[len("file:") :].removeprefix("//").removeprefix("localhost")))
    if "://" in url:
        raise ValueError(f"'{url}' is neither a file nor an https URL")
    # Some programs percent-encode relative paths, others do not.
    literal = folder / url
    return str(literal if literal.exists() else folder / unquote(url))


def url_from_source(source: MediaSource, folder: Path) -> str:
    """Return the URL of a media source. Relative paths start from `folder`, the folder of the timeline."""
    if source.kind is SourceKind.PATH:
        return (folder / str(source.root)).resolve().as_uri()
    return f"artifact:{source.artifact_id}" if source.kind is SourceKind.ARTIFACT else str(source.root)
