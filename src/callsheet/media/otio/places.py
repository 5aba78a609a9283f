"""Where the media of a cut lie: URLs on its side, media sources on ours."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from callsheet.domain.media_source import MediaSource, SourceKind

_OURS = ("http://", "https://", "storage:", "artifact:", "data:")


def source_of(url: str, folder: Path) -> str:
    """Return the media source that a URL stands for; relative ones start from the cut's folder.

    Raises ValueError for addresses of other kinds.
    """
    if url.lower().startswith(_OURS):
        return url
    if url.lower().startswith("file:"):
        parts = urlsplit(url)
        if parts.netloc not in ("", "localhost"):
            raise ValueError(f"'{url}' lies on the machine '{parts.netloc}'")
        return str(folder / unquote(url[len("file:") :].removeprefix("//").removeprefix("localhost")))
    if "://" in url:
        raise ValueError(f"'{url}' is neither a file nor an https address")
    # Some programs escape relative paths, and some do not.
    written = folder / url
    return str(written if written.exists() else folder / unquote(url))


def url_of(source: MediaSource, folder: Path) -> str:
    """Return the URL for a media source; relative paths start from the timeline's folder."""
    if source.kind is SourceKind.PATH:
        return (folder / str(source.root)).resolve().as_uri()
    return f"artifact:{source.artifact_id}" if source.kind is SourceKind.ARTIFACT else str(source.root)
