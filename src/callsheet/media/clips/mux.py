"""The words that put sound and subtitles to a picture, which is passed on as it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from callsheet.media.clips.language_codes import iso_639_2
from callsheet.media.clips.subtitle_track import SubtitleFile, subtitle_input
from callsheet.media.encoding import codecs
from callsheet.media.encoding.codecs import Format
from callsheet.media.encoding.stream_copy_rules import channel_layout, default_audio_args
from callsheet.media.ffmpeg.inputs import file_url, media_input
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.probing.streams import Stream

_SUBTITLES: dict[Format, str] = {"mp4": "mov_text", "webm": "webvtt", "mkv": "srt"}


@dataclass(frozen=True, slots=True)
class TrackTags:
    """What a player is told of a track."""

    language: str | None = None
    title: str | None = None
    default: bool = False
    """Whether it is chosen by itself."""
    forced: bool = False
    """Whether it is shown to everybody."""


@dataclass(frozen=True, slots=True)
class AudioInput:
    """A sound track on its way into a film."""

    source: MediaInfo
    stream: Stream
    tags: TrackTags
    from_video: bool
    """Whether the video brought it along."""
    stream_copy: bool
    """Whether it is passed on as it is."""
    offset: float = 0.0
    """Seconds into the film at which it begins; below 0, its beginning is left out."""
    volume: float = 1.0

    @property
    def end(self) -> float:
        """Seconds into the film at which it ends."""
        length = self.stream.duration
        end = self.source.stream_delay(self.stream) + length if length else self.source.probe.duration or 0.0
        return max(0.0, end + self.offset)


@dataclass(frozen=True, slots=True)
class SubtitleInput:
    """Subtitles on their way into a film."""

    file: SubtitleFile
    tags: TrackTags


@dataclass(frozen=True, slots=True)
class MuxCommand:
    """A film of tracks that are made already."""

    video: MediaInfo
    format: Format
    audio: Sequence[AudioInput]
    subtitles: Sequence[SubtitleInput]
    seconds: float
    max_frames: int | None = None
    """Frames that it ends after; None for all."""

    def args(self, output: Path) -> list[str]:
        """Return the words that make FFmpeg write it."""
        added = [sound for sound in self.audio if not sound.from_video]
        words = media_input(self.video.path)
        for sound in added:
            words += self._input(sound)
        for text in self.subtitles:
            words += subtitle_input(text.file)
        words += ["-map", f"0:{self.video.video_index}", "-c:v", "copy"]
        # A limit on frames ends the sound as well.
        words += ["-frames:v", str(self.max_frames)] if self.max_frames is not None else []
        for number, sound in enumerate(self.audio):
            words += self._sound(number, sound, 0 if sound.from_video else 1 + added.index(sound))
        for number, text in enumerate(self.subtitles):
            words += self._text(number, text, 1 + len(added) + number)
        return [*words, "-t", f"{self.seconds:.6f}", *self._container(), file_url(output)]

    def _input(self, sound: AudioInput) -> list[str]:
        late = ["-itsoffset", f"{sound.offset:.6f}"] if sound.offset > 0 else []
        length = max(0.001, self.seconds - sound.offset)
        return [*late, *media_input(sound.source.path, start=max(0.0, -sound.offset), length=length)]

    def _sound(self, number: int, sound: AudioInput, source: int) -> list[str]:
        words = ["-map", f"{source}:{sound.stream.index}", *_told(f"a:{number}", sound.tags)]
        if sound.stream_copy:
            return [*words, f"-c:a:{number}", "copy"]
        layout = channel_layout(sound.stream)
        filters = ["aresample=48000:async=1:first_pts=0", f"volume={sound.volume:.4f}"]
        filters += [f"aformat=channel_layouts={layout}", f"atrim=end={self.seconds:.6f}"]
        encoding = default_audio_args(self.format, layout, track=number)
        return [*words, f"-filter:a:{number}", ",".join(filters), *encoding]

    def _text(self, number: int, text: SubtitleInput, source: int) -> list[str]:
        codec = "copy" if text.file.kind == "ass" and self.format == "mkv" else _SUBTITLES[self.format]
        return ["-map", f"{source}:0", f"-c:s:{number}", codec, *_told(f"s:{number}", text.tags)]

    def _container(self) -> list[str]:
        words = ["-map_metadata", "-1", "-map_chapters", "-1", "-dn", "-f", codecs.MUXERS[self.format]]
        if self.format == "mp4":
            words += ["-movflags", "+faststart"]
            words += ["-tag:v", "hvc1"] if self.video.probe.video_codec == "hevc" else []
        return words


def _told(stream: str, name: TrackTags) -> list[str]:
    flags = "+".join([*(["default"] if name.default else []), *(["forced"] if name.forced else [])])
    words = [f"-disposition:{stream}", flags or "0"]
    words += [f"-metadata:s:{stream}", f"language={iso_639_2(name.language)}"] if name.language else []
    # MP4 keeps the title of a track where others keep the name of its handler.
    for key in ("title", "handler_name") if name.title else ():
        words += [f"-metadata:s:{stream}", f"{key}={name.title}"]
    return words
