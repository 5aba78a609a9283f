"""Codecs that a container accepts by stream copy, and the encoding for the others. Codecs have FFmpeg's names."""

from callsheet.media.encoding import audio_bitrates
from callsheet.media.encoding.codecs import AudioCodec, Format, audio_args
from callsheet.media.probing.streams import Stream

_VIDEO_CODECS: dict[Format, frozenset[str]] = {
    "mp4": frozenset({"h264", "hevc", "av1", "mpeg4"}),
    "webm": frozenset({"vp8", "vp9", "av1"}),
}
_SINGLE_FORMAT_CODECS = frozenset({"gif", "apng", "webp", "avif", "heif"})
"""Video codecs that exist only in files of their own format."""
_AUDIO_CODECS: dict[Format, frozenset[str]] = {
    "mp4": frozenset({"aac", "mp3", "ac3", "eac3", "alac"}),
    "webm": frozenset({"opus", "vorbis"}),
    "mkv": frozenset({"aac", "mp3", "ac3", "eac3", "alac", "opus", "vorbis", "flac", "pcm_s16le", "pcm_s24le"}),
}
_LOSSY_AUDIO: dict[Format, AudioCodec] = {"mp4": "aac", "webm": "opus", "mkv": "aac"}
_LAYOUTS = {"mono": "mono", "stereo": "stereo", "5.1": "5.1", "5.1(side)": "5.1"}
_USUAL_LAYOUTS = {1: "mono", 2: "stereo"}
"""The layouts of files that state only a number of channels."""
_CHANNELS = {"mono": 1, "stereo": 2, "5.1": 6}


def accepts_video_codec(format: Format, codec: str | None) -> bool:
    """Return whether a container accepts video of this codec. Matroska accepts nearly all."""
    return codec in _VIDEO_CODECS[format] if format in _VIDEO_CODECS else codec not in _SINGLE_FORMAT_CODECS


def accepts_audio_codec(format: Format, codec: str | None) -> bool:
    """Return whether a container accepts audio of this codec."""
    return codec in _AUDIO_CODECS[format]


def container_for(video_codec: str | None) -> Format:
    """Return the most widely supported container that accepts video of this codec."""
    if accepts_video_codec("mp4", video_codec):
        return "mp4"
    return "webm" if accepts_video_codec("webm", video_codec) else "mkv"


def channel_layout(stream: Stream) -> str:
    """Return the layout for encoding an audio stream: its own if encoders support it, else stereo."""
    return _LAYOUTS.get(stream.channel_layout or "") or _USUAL_LAYOUTS.get(stream.channels or 0, "stereo")


def default_audio_args(format: Format, layout: str, *, track: int | None = None) -> list[str]:
    """Return the arguments that encode audio for a container at the default bitrate.

    `track` is the number of the audio stream in the output; None: all of them.
    """
    codec, channels = _LOSSY_AUDIO[format], _CHANNELS[layout]
    counted = audio_bitrates.SURROUND_CHANNELS if channels == 6 else channels
    kbits = audio_bitrates.PER_CHANNEL[codec] * counted // 1000
    return audio_args(codec, f"{kbits}k", channels=channels, sample_rate=None, track=track)
