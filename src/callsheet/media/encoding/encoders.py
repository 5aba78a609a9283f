"""Select a video encoder and build its FFmpeg arguments."""

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
"""Bits per color component."""

_SOFTWARE: dict[VideoCodec, tuple[str, ...]] = {
    "h264": ("libx264",),
    "h265": ("libx265",),
    "vp9": ("libvpx-vp9",),
    "av1": ("libsvtav1", "libaom-av1"),
}
"""In order of preference."""
_ONE_PASS_ONLY = frozenset({"libsvtav1"})

_HARDWARE_CODECS: dict[VideoCodec, str] = {"h264": "h264", "h265": "hevc", "vp9": "vp9", "av1": "av1"}
_HARDWARE_KINDS: tuple[Hardware, ...] = ("nvenc", "qsv", "vaapi", "videotoolbox")

_TIME_BASE = "1/90000"
"""Of frames that keep their own times."""
_KEY_FRAME_INTERVAL = 4
"""Seconds. Frequent key frames keep seeking fast in players."""

# The encoders' own speed numbers for each of PRESETS.
_SPEEDS: dict[str, tuple[int, ...]] = {
    "libvpx-vp9": (8, 7, 6, 5, 5, 4, 2, 1, 0),
    "libaom-av1": (8, 8, 8, 8, 8, 8, 6, 5, 4),
    # Newer versions are no faster above 10.
    "libsvtav1": (10, 10, 9, 9, 8, 8, 6, 5, 4),
    "nvenc": (1, 2, 2, 3, 4, 4, 5, 6, 7),
}


@dataclass(frozen=True, slots=True)
class EncodeSettings:
    """Settings of a video encode."""

    codec: VideoCodec = "h264"
    quality: Quality | None = None
    """At most one of quality, crf and bitrate is set."""
    crf: int | None = None
    bitrate: int | None = None
    """Average bits per second."""
    max_bitrate: int | None = None
    """Bits per second. Hardware other than NVENC honors it only together with a bitrate."""
    preset: Preset = "medium"
    depth: Depth = 8
    hardware: Hardware = "cpu"
    color_space: ColorSpace = SDR
    passes: int = 1


@dataclass(frozen=True, slots=True)
class Encoder:
    """An available encoder with its settings."""

    name: str
    settings: EncodeSettings
    note: str | None = None
    """Why it is not the requested encoder."""

    @property
    def codec(self) -> VideoCodec:
        """The codec that it writes."""
        return self.settings.codec

    @property
    def is_hardware(self) -> bool:
        """Whether it is a hardware encoder, which may fail for reasons other than the input."""
        return self._family in _HARDWARE_KINDS

    @property
    def pixel_format(self) -> str:
        """The pixel format of its input frames."""
        if not self.is_hardware:
            return "yuv420p" if self.settings.depth == 8 else "yuv420p10le"
        return "p010le" if self.settings.depth == 10 else "yuv420p" if self._family == "nvenc" else "nv12"

    @property
    def last_filters(self) -> tuple[tuple[str, Options], ...]:
        """The filters at the end of a filter graph: pixel format, and upload to the device."""
        conversion: tuple[tuple[str, Options], ...] = (("format", {"pix_fmts": self.pixel_format}),)
        return (*conversion, ("hwupload", {})) if self._family == "vaapi" else conversion

    @property
    def device_args(self) -> list[str]:
        """The global options that its filters need, once per FFmpeg run."""
        return ["-init_hw_device", "vaapi=gpu", "-filter_hw_device", "gpu"] if self._family == "vaapi" else []

    def args(
        self, *, rate: Fraction | None, threads: int, stitchable: bool = False, segment: float | None = None
    ) -> list[str]:
        """Return the output options of the video encoder.

        `rate` is the frame rate; None: frames keep their timestamps. `stitchable`: segments encoded with equal
        arguments can be concatenated by stream copy. `segment`: seconds between key frames, with no other key frames.
        """
        return [
            *("-c:v", self.name, *self._rate_control_args(), *self._preset_args()),
            # By default the times of frames are rounded to whole frames of the average rate.
            *(["-enc_time_base", _TIME_BASE] if rate is None else []),
            *_key_frame_args(rate, segment),
            *self._codec_flags(threads, stitchable, fixed_key_frames=segment is not None),
            *([] if self._family == "vaapi" else ["-pix_fmt", self.pixel_format]),
            *self.settings.color_space.args(),
        ]

    @property
    def _family(self) -> str:
        return self.name.rpartition("_")[2]

    def _rate_control_args(self) -> list[str]:
        settings = self.settings
        if settings.bitrate is not None:
            return rate_control.average_bitrate_args(self.name, settings.bitrate, settings.max_bitrate)
        crf = settings.crf if settings.crf is not None else rate_control.crf_of(settings.codec, settings.quality)
        return rate_control.constant_quality_args(self.name, crf, settings.max_bitrate)

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
            case "qsv":  # its fastest preset is veryfast
                return ["-preset", PRESETS[max(PRESETS.index("veryfast"), PRESETS.index(preset))]]
            case "vaapi" | "videotoolbox":
                return []
            case _:
                return ["-preset", preset]

    def _codec_flags(self, threads: int, stitchable: bool, fixed_key_frames: bool) -> list[str]:
        match self._family:
            case "libx264":
                # Otherwise x264 adapts the headers of a segment to its content.
                headers = ["-x264-params", "stitchable=1"] if stitchable else []
                return [*headers, *(["-sc_threshold", "0"] if fixed_key_frames else []), "-threads", str(threads)]
            case "libx265":
                # Playback cannot start at the key frame of an open GOP without losing frames.
                params = f"log-level=error:open-gop=0:pools={threads}" + (":scenecut=0" if fixed_key_frames else "")
                return ["-forced-idr", "1", "-x265-params", params]
            case "libvpx-vp9" | "libaom-av1":
                # Without row-based multithreading, one CPU does nearly all of the work.
                return ["-row-mt", "1", "-threads", str(threads)]
            case "libsvtav1":
                return ["-svtav1-params", f"lp={min(6, threads)}"]
            case "nvenc":
                return ["-forced-idr", "1", *(["-no-scenecut", "1"] if fixed_key_frames else [])]
            case _:
                return []


def _key_frame_args(rate: Fraction | None, segment: float | None) -> list[str]:
    if segment is None and rate is not None:
        return ["-g", str(max(1, round(_KEY_FRAME_INTERVAL * rate)))]
    interval = segment or _KEY_FRAME_INTERVAL
    # One frame more than the interval: a rounded -g must not set a key frame just before the forced one.
    max_gop = round(interval * rate) + 1 if rate else round(interval * 240)
    # The first frame of each interval. By counting forced frames, those that a pause left out would follow it at once.
    number = f"floor(({{}}+0.001)/{interval:g})"
    is_first = f"isnan(prev_forced_t)+gt({number.format('t')},{number.format('prev_forced_t')})"
    return ["-g", str(max_gop), "-force_key_frames", f"expr:{is_first}"]


async def select_encoder(ffmpeg: FFmpeg, settings: EncodeSettings) -> Encoder:
    """Return the encoder to use, with a note if it is not the requested one.

    Raises FFmpegFailed if no encoder of the codec is available.
    """
    known = (await capabilities(ffmpeg.binary)).encoders
    if settings.hardware == "cpu":
        return software_encoder(settings, known)
    reasons: list[str] = []
    for kind in _HARDWARE_KINDS if settings.hardware == "auto" else (settings.hardware,):
        encoder = Encoder(f"{_HARDWARE_CODECS[settings.codec]}_{kind}", settings)
        reason = await _unusable_reason(ffmpeg, encoder, known)
        if reason is None:
            return encoder
        reasons.append(f"{encoder.name}: {reason}")
    found = software_encoder(settings, known)
    return replace(found, note=f"encoded by {found.name}, not on the GPU ({'; '.join(reasons)})")


def software_encoder(settings: EncodeSettings, known: Collection[str]) -> Encoder:
    """Return a software encoder. `known` are the encoders of this FFmpeg.

    Raises FFmpegFailed if none of them writes the codec.
    """
    found = [name for name in _SOFTWARE[settings.codec] if name in known]
    if not found:
        preferred = _SOFTWARE[settings.codec][0]
        raise FFmpegFailed(
            f"this FFmpeg cannot encode {settings.codec.upper()}: it lacks {preferred}. "
            "Set FFMPEG_PATH to a fuller build"
        )
    supported = [name for name in found if settings.passes == 1 or name not in _ONE_PASS_ONLY]
    note = None if supported else f"encoded in one pass: {found[0]} does not support two"
    return Encoder((supported or found)[0], settings, note)


async def _unusable_reason(ffmpeg: FFmpeg, encoder: Encoder, known: Collection[str]) -> str | None:
    if encoder.name not in known:
        return "this FFmpeg build lacks it"
    plain = replace(encoder, settings=EncodeSettings(codec=encoder.codec, depth=encoder.settings.depth))
    graph = FilterGraph()
    frames = graph.chain("0:v:0", *plain.last_filters)
    args = [*plain.device_args, "-filter_complex", str(graph), "-map", f"[{frames}]"]
    args += plain.args(rate=Fraction(25), threads=1)
    return await hardware.unusable_reason(ffmpeg, encoder.name, encoder.pixel_format, args)
