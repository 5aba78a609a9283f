"""How an untrusted file is handed to FFmpeg."""

from pathlib import Path

MEDIA_FORMATS = (
    "mov,matroska,mpegts,mpeg,avi,flv,asf,mxf,ivf,gif,apng,yuv4mpegpipe,"
    "wav,w64,mp3,ogg,flac,aac,aiff,amr,ac3,eac3,caf,"
    "png_pipe,jpeg_pipe,webp_pipe,bmp_pipe,tiff_pipe,jpegxl_pipe"
)
"""Containers that hold nothing but media. Playlists and the like are not among them: they make FFmpeg open
other files and addresses, and FFmpeg knows them by their contents, whatever the name."""

_JPEG = b"\xff\xd8\xff"

MAX_PIXELS = 100_000_000
"""Larger pictures are refused: a small file can unpack into all of the memory."""


def media_input(path: Path, *, start: float | None = None, length: float | None = None) -> list[str]:
    """Return the words for one input file, to be read from `start` for `length` seconds (None: whole)."""
    return [
        *("-protocol_whitelist", "file,pipe"),
        *("-format_whitelist", MEDIA_FORMATS),
        *("-max_pixels", str(MAX_PIXELS)),
        *(("-f", demuxer) if (demuxer := forced_demuxer(path)) else ()),
        *(("-ss", f"{start:.6f}") if start else ()),
        *(("-t", f"{length:.6f}") if length is not None else ()),
        *("-i", file_url(path)),
    ]


def forced_demuxer(path: Path) -> str | None:
    """Return the demuxer that FFmpeg must be told of; None where it finds the right one by itself.

    A JPEG named `.jpg` it takes, by that name, for a numbered series of pictures.
    """
    try:
        with path.open("rb") as file:
            return "jpeg_pipe" if file.read(3) == _JPEG else None
    except OSError:
        return None


def file_url(path: Path) -> str:
    """Return the path so that FFmpeg takes no part of it for a protocol or an option."""
    return f"file:{path}"
