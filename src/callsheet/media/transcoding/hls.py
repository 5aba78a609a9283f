"""HTTP Live Streaming: playlists that lie flat beside the segments they name."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from callsheet.domain.errors import FFmpegFailed

SOUND = "sound"
MASTER = "master.m3u8"
RESERVED = (SOUND, "master")
"""Names that no rendition may take."""

PLAYLIST_TYPE = "application/vnd.apple.mpegurl"
_MEDIA_TYPES = {".m3u8": PLAYLIST_TYPE, ".m4s": "video/iso.segment", ".mp4": "video/mp4"}

_LENGTH = re.compile(r"#EXTINF:([\d.]+),")
_HEADER = re.compile(r'#EXT-X-MAP:URI="([^"]+)"')


@dataclass(frozen=True, slots=True)
class Playlist:
    """What a playlist of segments names, all of it in its own folder."""

    name: str
    header: str
    """The file that players read before any segment."""
    segments: tuple[str, ...]
    lengths: tuple[float, ...]
    """Seconds of each segment."""

    @property
    def files(self) -> list[str]:
        """The playlist with all that it takes to play it."""
        return [f"{self.name}.m3u8", self.header, *self.segments]


@dataclass(frozen=True, slots=True)
class Variant:
    """A rendition as the master playlist tells of it."""

    playlist: str
    peak: int
    """Bits per second of the largest segment, sound included."""
    average: int
    codecs: str
    width: int
    height: int
    fps: float
    range: str
    """SDR, PQ or HLG."""


def hls_args(name: str, seconds: float) -> list[str]:
    """Return the output options for one rendition, with its playlist in the folder that FFmpeg runs in."""
    return [
        *("-map_metadata", "-1", "-map_chapters", "-1", "-f", "hls", "-hls_time", f"{seconds:g}"),
        # Else pictures that are stored out of order are shown late, and the sound, in files of its own, is not.
        *("-avoid_negative_ts", "disabled"),
        *("-hls_playlist_type", "vod", "-hls_list_size", "0", "-hls_flags", "independent_segments"),
        *("-hls_segment_type", "fmp4", "-hls_fmp4_init_filename", f"{name}_init.mp4"),
        *("-hls_segment_filename", f"{name}_%05d.m4s", f"{name}.m3u8"),
    ]


def media_type(name: str) -> str:
    """Return the media type of one of the files."""
    return _MEDIA_TYPES[Path(name).suffix]


def read(folder: Path, name: str) -> Playlist:
    """Read a playlist that FFmpeg has written. Raises FFmpegFailed when it or a file it names is not there."""
    try:
        lines = (folder / f"{name}.m3u8").read_text().splitlines()
    except FileNotFoundError:
        raise FFmpegFailed(f"FFmpeg reported success, but wrote no playlist '{name}'") from None
    text = "\n".join(lines)
    header = _HEADER.search(text)
    segments = tuple(line for line in lines if line and not line.startswith("#"))
    if header is None or not segments or "#EXT-X-ENDLIST" not in lines:
        raise FFmpegFailed(f"FFmpeg reported success, but the playlist '{name}' is not whole")
    found = Playlist(name, header[1], segments, tuple(map(float, _LENGTH.findall(text))))
    if missing := [file for file in found.files if not (folder / file).is_file()]:
        raise FFmpegFailed(f"FFmpeg reported success, but '{missing[0]}' of the playlist '{name}' is missing")
    return found


def rates(folder: Path, playlist: Playlist) -> tuple[int, int]:
    """Return the bits per second of the largest segment and of all."""
    sizes = [(folder / segment).stat().st_size * 8 for segment in playlist.segments]
    peak = max(size / max(0.001, length) for size, length in zip(sizes, playlist.lengths, strict=True))
    return round(peak), round(sum(sizes) / max(0.001, sum(playlist.lengths)))


def master(variants: Sequence[Variant], channels: int | None) -> str:
    """Return the playlist that offers the renditions; `channels` are those of the sound, None without sound."""
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS"]
    if channels is not None:
        lines.append(
            f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="{SOUND}",NAME="{SOUND}",DEFAULT=YES,AUTOSELECT=YES,'
            f'CHANNELS="{channels}",URI="{SOUND}.m3u8"'
        )
    for one in variants:
        facts = [
            f"BANDWIDTH={one.peak}",
            f"AVERAGE-BANDWIDTH={one.average}",
            f'CODECS="{one.codecs}"',
            f"RESOLUTION={one.width}x{one.height}",
            f"FRAME-RATE={one.fps:.3f}",
            f"VIDEO-RANGE={one.range}",
        ]
        facts += [f'AUDIO="{SOUND}"'] if channels is not None else []
        lines += [f"#EXT-X-STREAM-INF:{','.join(facts)}", f"{one.playlist}.m3u8"]
    return "\n".join(lines) + "\n"
