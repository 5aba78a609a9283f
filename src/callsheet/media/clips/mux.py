"""FFmpeg arguments that add audio and subtitle tracks to a video, whose video stream is copied."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from callsheet.media.clips.language_codes import iso_639_2
from callsheet.media.clips.subtitle_track import SubtitleFile, subtitle_input
from callsheet.media.encoding import codecs
from callsheet.media.encoding.codecs import Format
from callsheet.media.encoding.downmix import downmix_filters, filter_text
from callsheet.media.encoding.stream_copy_rules import channel_layout, default_audio_args
from callsheet.media.ffmpeg.inputs import file_url, media_input
from callsheet.media.filters.source_frames import copy_input
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.probing.streams import Stream


@dataclass(frozen=True, slots=True)
class TrackTags:
    """The metadata of a track for players."""

    language: str | None = None
    title: str | None = None
    default: bool = False
    """Whether players select it automatically."""
    forced: bool = False
    """Whether it is always shown."""


@dataclass(frozen=True, slots=True)
class AudioInput:
    """An audio track to mux."""

    source: MediaInfo
    stream: Stream
    tags: TrackTags
    from_video: bool
    """Whether it is a stream of the video file."""
    stream_copy: bool
    """Whether it is copied without encoding."""
    offset: float = 0.0
    """Start time in the output, in seconds. If negative, that much of its beginning is cut off."""
    volume: float = 1.0

    @property
    def end(self) -> float:
        """End time in the output, in seconds."""
        length = self.stream.duration
        end = self.source.stream_delay(self.stream) + length if length else self.source.probe.duration or 0.0
        return max(0.0, end + self.offset)


@dataclass(frozen=True, slots=True)
class SubtitleInput:
    """A subtitle track to mux."""

    file: SubtitleFile
    tags: TrackTags


@dataclass(frozen=True, slots=True)
class MuxCommand:
    """One FFmpeg command that muxes a video with audio and subtitle tracks."""

    video: MediaInfo
    format: Format
    audio: Sequence[AudioInput]
    subtitles: Sequence[SubtitleInput]
    seconds: float
    """Duration of the output."""
    max_packets: int | None = None
    """Number of video packets to keep: of frames, or of fields. None: all."""

    def args(self, output: Path) -> list[str]:
        """Return the FFmpeg arguments."""
        added = [track for track in self.audio if not track.from_video]
        args = copy_input(self.video)
        for track in added:
            args += self._audio_input(track)
        for subtitle in self.subtitles:
            args += subtitle_input(subtitle.file, self.seconds)
        args += ["-map", f"0:{self.video.video_index}", "-c:v", "copy"]
        # -frames:v counts packets, and also ends the audio.
        args += ["-frames:v", str(self.max_packets)] if self.max_packets is not None else []
        for number, track in enumerate(self.audio):
            args += self._audio_output(number, track, 0 if track.from_video else 1 + added.index(track))
        for number, subtitle in enumerate(self.subtitles):
            args += self._subtitle_output(number, subtitle, 1 + len(added) + number)
        return [*args, "-t", f"{self.seconds:.6f}", *self._container_args(), file_url(output)]

    def _audio_input(self, track: AudioInput) -> list[str]:
        delay = ["-itsoffset", f"{track.offset:.6f}"] if track.offset > 0 else []
        length = max(0.001, self.seconds - track.offset)
        return [*delay, *media_input(track.source.path, start=max(0.0, -track.offset), length=length)]

    def _audio_output(self, number: int, track: AudioInput, source: int) -> list[str]:
        args = ["-map", f"{source}:{track.stream.index}", *_tag_args(f"a:{number}", track.tags)]
        if track.stream_copy:
            return [*args, f"-c:a:{number}", "copy"]
        layout = channel_layout(track.stream)
        downmix = filter_text(downmix_filters(track.stream.channel_layout))
        filters = ["aresample=48000:async=1:first_pts=0", f"{downmix}volume={track.volume:.4f}"]
        filters += [f"aformat=channel_layouts={layout}", f"atrim=end={self.seconds:.6f}"]
        encoding = default_audio_args(self.format, layout, track=number)
        return [*args, f"-filter:a:{number}", ",".join(filters), *encoding]

    def _subtitle_output(self, number: int, subtitle: SubtitleInput, source: int) -> list[str]:
        # FFmpeg's encoder of WebVTT would not escape `<`, so that browsers take it for a tag.
        codec = "mov_text" if self.format == "mp4" else "copy"
        return ["-map", f"{source}:0", f"-c:s:{number}", codec, *_tag_args(f"s:{number}", subtitle.tags)]

    def _container_args(self) -> list[str]:
        args = ["-map_metadata", "-1", "-map_chapters", "-1", "-dn", "-f", codecs.MUXERS[self.format]]
        if self.format == "mp4":
            args += ["-movflags", "+faststart"]
            args += ["-tag:v", "hvc1"] if self.video.probe.video_codec == "hevc" else []
        return args


def _tag_args(stream: str, tags: TrackTags) -> list[str]:
    flags = "+".join([*(["default"] if tags.default else []), *(["forced"] if tags.forced else [])])
    args = [f"-disposition:{stream}", flags or "0"]
    args += [f"-metadata:s:{stream}", f"language={iso_639_2(tags.language)}"] if tags.language else []
    # MP4 stores the title of a track as its handler name.
    for key in ("title", "handler_name") if tags.title else ():
        args += [f"-metadata:s:{stream}", f"{key}={tags.title}"]
    return args
