"""Which tracks a container takes as they are, without a new encode. Codecs go by FFmpeg's names."""

from callsheet.media.encoding.codecs import AudioCodec, Format
from callsheet.media.probing.streams import Stream

_PICTURES: dict[Format, frozenset[str]] = {
    "mp4": frozenset({"h264", "hevc", "av1", "mpeg4"}),
    "webm": frozenset({"vp8", "vp9", "av1"}),
}
_AT_HOME_ONLY = frozenset({"gif", "apng"})
"""Pictures that only files of their own kind hold."""
_SOUNDS: dict[Format, frozenset[str]] = {
    "mp4": frozenset({"aac", "mp3", "ac3", "eac3", "alac"}),
    "webm": frozenset({"opus", "vorbis"}),
    "mkv": frozenset({"aac", "mp3", "ac3", "eac3", "alac", "opus", "vorbis", "flac", "pcm_s16le", "pcm_s24le"}),
}
_ENCODED: dict[Format, AudioCodec] = {"mp4": "aac", "webm": "opus", "mkv": "aac"}
_LAYOUTS = {"mono": "mono", "stereo": "stereo", "5.1": "5.1", "5.1(side)": "5.1"}


def accepts_video_codec(format: Format, codec: str | None) -> bool:
    """Tell whether a container holds pictures of this codec. Matroska holds nearly all that are known."""
    return codec in _PICTURES[format] if format in _PICTURES else codec not in _AT_HOME_ONLY


def accepts_audio_codec(format: Format, codec: str | None) -> bool:
    """Tell whether a container holds sound of this codec."""
    return codec in _SOUNDS[format]


def container_for(picture: str | None) -> Format:
    """Return the container that players know best for pictures of this codec."""
    return "mp4" if accepts_video_codec("mp4", picture) else "webm" if accepts_video_codec("webm", picture) else "mkv"


def channel_layout(sound: Stream) -> str:
    """Return the layout that sound is encoded in: its own where encoders know it, else stereo."""
    return _LAYOUTS.get(sound.channel_layout or "", "stereo")


def default_audio_args(format: Format, layout: str, *, track: int | None = None) -> list[str]:
    """Return the words that encode sound for a container; `track` is its number, None: all tracks."""
    suffix = ":a" if track is None else f":a:{track}"
    encoder, each = {"aac": ("aac", 96), "opus": ("libopus", 64), "flac": ("flac", 0)}[_ENCODED[format]]
    channels = {"mono": 1, "stereo": 2, "5.1": 6}[layout]
    # FFmpeg's Opus encoder knows surround sound by families of mappings only.
    family = [f"-mapping_family{suffix}", "1"] if encoder == "libopus" and channels > 2 else []
    rate = f"{each * max(channels, 1) if channels != 6 else each * 4}k"
    return [f"-c{suffix}", encoder, f"-b{suffix}", rate, *family]
