"""A film as the prober describes it, for tests that read no file."""

from pathlib import Path

from callsheet.domain.artifacts import Probe
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.probing.streams import Stream


def film(path: Path, seconds: float | None, **facts: object) -> MediaInfo:
    """Return an MP4 whose stream 0 is the video, and stream 1 the audio if the facts name its codec."""
    given = {"format": "mov,mp4,m4a,3gp,3g2,mj2", "duration": seconds, **facts}
    probe = Probe.model_validate(given)
    streams = [Stream(index=0, type="video", width=probe.width, height=probe.height)]
    streams += [Stream(index=1, type="audio", codec=probe.audio_codec)] if probe.audio_codec else []
    audio = 1 if probe.audio_codec else None
    return MediaInfo(path, probe, video_seconds=seconds, video_index=0, audio_index=audio, streams=tuple(streams))
