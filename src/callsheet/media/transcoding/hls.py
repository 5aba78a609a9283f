"""HTTP Live Streaming (HLS): playlists in the same folder as their segments."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from callsheet.domain.errors import FFmpegFailed

AUDIO_GROUP = "sound"
"""Name of the audio group and of its playlist."""
MASTER_PLAYLIST = "master.m3u8"
RESERVED_NAMES = (AUDIO_GROUP, "master")
"""Names that a rendition must not have."""

PLAYLIST_TYPE = "application/vnd.apple.mpegurl"
_MEDIA_TYPES = {".m3u8": PLAYLIST_TYPE, ".m4s": "video/iso.segment", ".mp4": "video/mp4"}

_SEGMENT_DURATION = re.compile(r"#EXTINF:([\d.]+),")
_TARGET_DURATION = re.compile(r"#EXT-X-TARGETDURATION:\d+")
_PRECISION = 0.01
"""Seconds."""
_HEADER_FILE = re.compile(r'#EXT-X-MAP:URI="([^"]+)"')


@dataclass(frozen=True, slots=True)
class Playlist:
    """A media playlist and the files that it references. All files are in the folder of the playlist."""

    name: str
    header: str
    """The initialization file, which players read before any segment."""
    segments: tuple[str, ...]
    durations: tuple[float, ...]
    """Duration of each segment, in seconds."""

    @property
    def files(self) -> list[str]:
        """The playlist and all files that are needed to play it."""
        return [f"{self.name}.m3u8", self.header, *self.segments]


@dataclass(frozen=True, slots=True)
class Variant:
    """Entry of a rendition in the master playlist."""

    playlist: str
    peak: int
    """Bits per second of the largest segment, including audio."""
    average: int
    """Bits per second on average, including audio."""
    codecs: str
    width: int
    height: int
    fps: float
    range: str
    """SDR, PQ or HLG."""


def output_args(name: str, segment_seconds: float) -> list[str]:
    """Return the output options of one rendition. FFmpeg writes its files to the working directory."""
    return [
        *("-map_metadata", "-1", "-map_chapters", "-1", "-f", "hls", "-hls_time", f"{segment_seconds:g}"),
        # Without this, reordered video frames shift the video, but not the audio, which is in separate files.
        *("-avoid_negative_ts", "disabled"),
        *("-hls_playlist_type", "vod", "-hls_list_size", "0", "-hls_flags", "independent_segments"),
        *("-hls_segment_type", "fmp4", "-hls_fmp4_init_filename", f"{name}_init.mp4"),
        *("-hls_segment_filename", f"{name}_%05d.m4s", f"{name}.m3u8"),
    ]


def media_type(name: str) -> str:
    """Return the media type of a file of an HLS output."""
    return _MEDIA_TYPES[Path(name).suffix]


def read_playlist(folder: Path, name: str) -> Playlist:
    """Read a playlist that FFmpeg wrote.

    Raises FFmpegFailed if the playlist or a file that it references is missing, or the playlist is incomplete.
    """
    try:
        lines = (folder / f"{name}.m3u8").read_text("utf-8").splitlines()
    except FileNotFoundError:
        raise FFmpegFailed(f"FFmpeg reported success, but wrote no playlist '{name}'") from None
    text = "\n".join(lines)
    header = _HEADER_FILE.search(text)
    segments = tuple(line for line in lines if line and not line.startswith("#"))
    if header is None or not segments or "#EXT-X-ENDLIST" not in lines:
        raise FFmpegFailed(f"FFmpeg reported success, but the playlist '{name}' is incomplete")
    playlist = Playlist(name, header[1], segments, tuple(map(float, _SEGMENT_DURATION.findall(text))))
    if missing := [file for file in playlist.files if not (folder / file).is_file()]:
        raise FFmpegFailed(f"FFmpeg reported success, but '{missing[0]}' of the playlist '{name}' is missing")
    return playlist


def with_length(folder: Path, playlist: Playlist, seconds: float) -> Playlist:
    """Return a playlist whose segments last `seconds` together, and rewrite its file if they did not.

    FFmpeg states a wrong duration for the last segment if frames are unevenly spaced: it counts frames of one length.
    """
    last = seconds - sum(playlist.durations[:-1])
    if last <= 0 or abs(last - playlist.durations[-1]) < _PRECISION:
        return playlist
    path = folder / f"{playlist.name}.m3u8"
    durations = (*playlist.durations[:-1], last)
    before, _, after = path.read_text("utf-8").rpartition("#EXTINF:")
    text = f"{before}#EXTINF:{last:.6f},{after.partition(',')[2]}"
    text = _TARGET_DURATION.sub(f"#EXT-X-TARGETDURATION:{max(map(round, durations)) or 1}", text)
    path.write_text(text, "utf-8")
    return replace(playlist, durations=durations)


def bit_rates(folder: Path, playlist: Playlist) -> tuple[int, int]:
    """Return the peak and the average bit rate of the segments, in bits per second."""
    sizes = [(folder / segment).stat().st_size * 8 for segment in playlist.segments]
    peak = max(size / max(0.001, duration) for size, duration in zip(sizes, playlist.durations, strict=True))
    return round(peak), round(sum(sizes) / max(0.001, sum(playlist.durations)))


def master_playlist(variants: Sequence[Variant], audio_channels: int | None) -> str:
    """Return the text of the master playlist. `audio_channels` is None without audio."""
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS"]
    if audio_channels is not None:
        lines.append(
            f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="{AUDIO_GROUP}",NAME="{AUDIO_GROUP}",DEFAULT=YES,AUTOSELECT=YES,'
            f'CHANNELS="{audio_channels}",URI="{AUDIO_GROUP}.m3u8"'
        )
    for variant in variants:
        attributes = [
            f"BANDWIDTH={variant.peak}",
            f"AVERAGE-BANDWIDTH={variant.average}",
            f'CODECS="{variant.codecs}"',
            f"RESOLUTION={variant.width}x{variant.height}",
            f"FRAME-RATE={variant.fps:.3f}",
            f"VIDEO-RANGE={variant.range}",
        ]
        attributes += [f'AUDIO="{AUDIO_GROUP}"'] if audio_channels is not None else []
        lines += [f"#EXT-X-STREAM-INF:{','.join(attributes)}", f"{variant.playlist}.m3u8"]
    return "\n".join(lines) + "\n"
