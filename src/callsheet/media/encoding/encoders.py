"""Which encoder makes a picture, with the words that steer it."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from callsheet.domain.errors import FFmpegFailed
from callsheet.media.encoding import hardware, rate_control
from callsheet.media.encoding.codecs import VideoCodec
from callsheet.media.encoding.color import SDR, ColorSpace
from callsheet.media.ffmpeg.binary import capabilities
from callsheet.media.ffmpeg.filter_graph import FilterGraph, Options
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.values import PRESETS, Hardware, Preset, Quality

Depth = Literal[8, 10]
"""Bits of each colour."""

_SOFTWARE: dict[VideoCodec, tuple[str, ...]] = {
    "h264": ("libx264",),
    "h265": ("libx265",),
    "vp9": ("libvpx-vp9",),
    "av1": ("libsvtav1", "libaom-av1"),
}
"""The better ones first."""
_ONE_PASS_ONLY = frozenset({"libsvtav1"})

_HARDWARE_NAMES: dict[VideoCodec, str] = {"h264": "h264", "h265": "hevc", "vp9": "vp9", "av1": "av1"}
_HARDWARE: tuple[Hardware, ...] = ("nvenc", "qsv", "vaapi", "videotoolbox")

_KEY_FRAME_INTERVAL = 4
"""Seconds; a key frame at least so often keeps players quick at seeking."""

# The encoders' own numbers for each of PRESETS.
_SPEEDS: dict[str, tuple[int, ...]] = {
    "libvpx-vp9": (8, 7, 6, 5, 5, 4, 2, 1, 0),
    "libaom-av1": (8, 8, 8, 8, 8, 8, 6, 5, 4),
    # Beyond 10 its newer versions go no faster.
    "libsvtav1": (10, 10, 9, 9, 8, 8, 6, 5, 4),
    "nvenc": (1, 2, 2, 3, 4, 4, 5, 6, 7),
}


@dataclass(frozen=True, slots=True)
class EncodeSettings:
    """What a picture is to be encoded as."""

    codec: VideoCodec = "h264"
    quality: Quality | None = None
    """One of quality, crf and bitrate at most."""
    crf: int | None = None
    bitrate: int | None = None
    """Bits per second, on average."""
    max_bitrate: int | None = None
    """Bits per second; hardware other than NVENC keeps to it with a bitrate only."""
    preset: Preset = "medium"
    depth: Depth = 8
    hardware: Hardware = "cpu"
    color_space: ColorSpace = SDR
    passes: int = 1


@dataclass(frozen=True, slots=True)
class Encoder:
    """An encoder that is at hand, with what it is to make."""

    name: str
    settings: EncodeSettings
    note: str | None = None
    """Why it is not the one wished for."""

    @property
    def codec(self) -> VideoCodec:
        """What it writes."""
        return self.settings.codec

    @property
    def is_hardware(self) -> bool:
        """Whether it may fail for reasons that are not in the picture."""
        return self._family in _HARDWARE

    @property
    def pixel_format(self) -> str:
        """What its pictures must come as."""
        if not self.is_hardware:
            return "yuv420p" if self.settings.depth == 8 else "yuv420p10le"
        return "p010le" if self.settings.depth == 10 else "yuv420p" if self._family == "nvenc" else "nv12"

    @property
    def last_filters(self) -> tuple[tuple[str, Options], ...]:
        """The filters that hand pictures over to it: the end of a filter graph."""
        handed_over: tuple[tuple[str, Options], ...] = (("format", {"pix_fmts": self.pixel_format}),)
        return (*handed_over, ("hwupload", {})) if self._family == "vaapi" else handed_over

    @property
    def device_args(self) -> list[str]:
        """The global options that its filters need; once for each run of FFmpeg."""
        return ["-init_hw_device", "vaapi=gpu", "-filter_hw_device", "gpu"] if self._family == "vaapi" else []

    def args(
        self, *, rate: Fraction | None, threads: int, stitchable: bool = False, segment: float | None = None
    ) -> list[str]:
        """Return the output options for a picture at this rate; None: its frames keep their times.

        `stitched`: pieces made by equal words can be joined by stream copy. `segment`: a key frame stands after
        every so many seconds, and nowhere else.
        """
        return [
            *("-c:v", self.name, *self._rate_control_args(), *self._preset_args()),
            *_key_frame_args(rate, segment),
            *self._codec_flags(threads, stitchable, fixed_keys=segment is not None),
            *([] if self._family == "vaapi" else ["-pix_fmt", self.pixel_format]),
            *self.settings.color_space.args(),
        ]

    @property
    def _family(self) -> str:
        return self.name.rpartition("_")[2]

    def _rate_control_args(self) -> list[str]:
        wish = self.settings
        if wish.bitrate is not None:
            return rate_control.average_bitrate_args(self.name, wish.bitrate, wish.max_bitrate)
        crf = wish.crf if wish.crf is not None else rate_control.crf_of(wish.codec, wish.quality)
        return rate_control.constant_quality_args(self.name, crf, wish.max_bitrate)

    def _preset_args(self) -> list[str]:
        preset = self.settings.preset
        number = _SPEEDS.get(self.name, _SPEEDS["nvenc"])[PRESETS.index(preset)]
        match self._family:
            case "libsvtav1":
                return ["-preset", str(number)]
            case "libvpx-vp9":
                return ["-deadline", "good", "-cpu-used", str(number)]
            case "libaom-av1":
                return ["-usage", "good", "-cpu-used", str(number)]
            case "nvenc":
                return ["-preset", f"p{number}"]
            case "qsv":  # its quickest is called veryfast
                return ["-preset", PRESETS[max(PRESETS.index("veryfast"), PRESETS.index(preset))]]
            case "vaapi" | "videotoolbox":
                return []
            case _:
                return ["-preset", preset]

    def _codec_flags(self, threads: int, stitched: bool, fixed_keys: bool) -> list[str]:
        match self._family:
            case "libx264":
                # Else it fits the headers of a piece to what is seen in it.
                joinable = ["-x264-params", "stitchable=1"] if stitched else []
                return [*joinable, *(["-sc_threshold", "0"] if fixed_keys else []), "-threads", str(threads)]
            case "libx265":
                # An open group of pictures cannot be entered at its key frame without losing frames.
                told = f"log-level=error:open-gop=0:pools={threads}" + (":scenecut=0" if fixed_keys else "")
                return ["-forced-idr", "1", "-x265-params", told]
            case "libvpx-vp9" | "libaom-av1":
                # Without rows in parallel, one processor does nearly all of the work.
                return ["-row-mt", "1", "-threads", str(threads)]
            case "libsvtav1":
                return ["-svtav1-params", f"lp={min(6, threads)}"]
            case "nvenc":
                return ["-forced-idr", "1", *(["-no-scenecut", "1"] if fixed_keys else [])]
            case _:
                return []


def _key_frame_args(rate: Fraction | None, segment: float | None) -> list[str]:
    if segment is None and rate is not None:
        return ["-g", str(max(1, round(_KEY_FRAME_INTERVAL * rate)))]
    every = segment or _KEY_FRAME_INTERVAL
    # One more frame than needed, so that a rounded count never sets a key frame just before the one forced.
    most = round(every * rate) + 1 if rate else round(every * 240)
    return ["-g", str(most), "-force_key_frames", f"expr:gte(t,n_forced*{every:g})"]


async def select_encoder(ffmpeg: FFmpeg, settings: EncodeSettings) -> Encoder:
    """Return the encoder to use, with a note when it is not the one wished for.

    Raises FFmpegFailed when no encoder of the codec is at hand.
    """
    known = (await capabilities(ffmpeg.binary)).encoders
    if settings.hardware == "cpu":
        return software_encoder(settings, known)
    reasons: list[str] = []
    for kind in _HARDWARE if settings.hardware == "auto" else (settings.hardware,):
        encoder = Encoder(f"{_HARDWARE_NAMES[settings.codec]}_{kind}", settings)
        reason = await _unusable_reason(ffmpeg, encoder, known)
        if reason is None:
            return encoder
        reasons.append(f"{encoder.name}: {reason}")
    found = software_encoder(settings, known)
    return replace(found, note=f"encoded by {found.name}, not on the GPU ({'; '.join(reasons)})")


def software_encoder(settings: EncodeSettings, known: Collection[str]) -> Encoder:
    """Return an encoder that needs no hardware; `known` are those of this FFmpeg.

    Raises FFmpegFailed when none of them writes the codec.
    """
    found = [name for name in _SOFTWARE[settings.codec] if name in known]
    if not found:
        wanted = _SOFTWARE[settings.codec][0]
        raise FFmpegFailed(
            f"this FFmpeg cannot write {settings.codec.upper()}: it has no {wanted}. Set FFMPEG_PATH to a fuller build"
        )
    able = [name for name in found if settings.passes == 1 or name not in _ONE_PASS_ONLY]
    note = None if able else f"encoded in one pass: {found[0]} knows no other"
    return Encoder((able or found)[0], settings, note)


def mark_failed(ffmpeg: FFmpeg, encoder: Encoder, reason: str) -> None:
    """Remember for a while that a hardware encoder failed at real work."""
    hardware.mark_failed(ffmpeg, encoder.name, encoder.pixel_format, reason)


async def software_fallback(ffmpeg: FFmpeg, encoder: Encoder, reason: str) -> Encoder:
    """Return what makes the same without hardware, after a hardware encoder failed at real work, with a note.

    Raises FFmpegFailed when no encoder of the codec is at hand.
    """
    mark_failed(ffmpeg, encoder, reason)
    found = software_encoder(encoder.settings, (await capabilities(ffmpeg.binary)).encoders)
    return replace(found, note=f"encoded again by {found.name}, since {encoder.name} failed: {reason}")


async def _unusable_reason(ffmpeg: FFmpeg, encoder: Encoder, known: Collection[str]) -> str | None:
    if encoder.name not in known:
        return "this FFmpeg was built without it"
    plain = replace(encoder, settings=EncodeSettings(codec=encoder.codec, depth=encoder.settings.depth))
    graph = FilterGraph()
    picture = graph.chain("0:v:0", *plain.last_filters)
    words = [*plain.device_args, "-filter_complex", str(graph), "-map", f"[{picture}]"]
    words += plain.args(rate=Fraction(25), threads=1)
    return await hardware.unusable_reason(ffmpeg, encoder.name, encoder.pixel_format, words)
