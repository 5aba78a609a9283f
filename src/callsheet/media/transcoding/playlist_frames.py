"""The frames that a player receives from an HLS playlist."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from callsheet.domain.errors import FFmpegFailed
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.transcoding.hls import Playlist

_TIMEOUT = 3600.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class PlaylistFrames:
    """The frames of a playlist: their number, and the time from the first one to the end of the last one."""

    count: int
    seconds: float


async def read_playlist_frames(ffmpeg: FFmpeg, folder: Path, playlist: Playlist) -> PlaylistFrames:
    """Return the frames of a playlist that FFmpeg wrote to a folder. Raises FFmpegFailed if there are none."""
    # The restrictions of media inputs are not needed: FFmpeg wrote this playlist to the job folder.
    args = ["-protocol_whitelist", "file", "-f", "hls", "-i", f"{playlist.name}.m3u8", "-map", "0:v:0", "-c", "copy"]
    captured = await ffmpeg.capture([*args, "-f", "framecrc", "-"], cwd=folder, timeout=_TIMEOUT)
    lines = captured.stdout.decode("ascii", "replace").splitlines()
    unit = next((Fraction(line.split(":", 1)[1].strip()) for line in lines if line.startswith("#tb 0:")), Fraction(0))
    # Lines of `stream, dts, pts, duration, size, checksum`.
    packets = [line.split(",") for line in lines if not line.startswith("#")]
    if not packets:
        raise FFmpegFailed(f"FFmpeg reported success, but the playlist '{playlist.name}' has no frames")
    times = [int(packet[2]) for packet in packets]
    end = max(int(packet[2]) + int(packet[3]) for packet in packets)
    return PlaylistFrames(len(packets), float((end - min(times)) * unit))
