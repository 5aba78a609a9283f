"""Rate control: FFmpeg arguments for constant quality and for an average bitrate."""

from callsheet.media.encoding.codecs import VideoCodec
from callsheet.media.values import Quality

_CRF: dict[VideoCodec, dict[Quality | None, int]] = {
    "h264": {"low": 28, "medium": 23, None: 20, "high": 19, "best": 16},
    "h265": {"low": 32, "medium": 27, None: 24, "high": 23, "best": 20},
    "vp9": {"low": 38, "medium": 32, None: 28, "high": 26, "best": 20},
    "av1": {"low": 40, "medium": 34, None: 30, "high": 28, "best": 22},
}
"""CRF values of about equal visual quality in each column. None is the default."""


def crf_of(codec: VideoCodec, quality: Quality | None) -> int:
    """Return the constant rate factor (CRF) of a codec for a quality."""
    return _CRF[codec][quality]


def constant_quality_args(encoder: str, crf: int, limit: int | None) -> list[str]:
    """Return the arguments for constant quality with a maximum of `limit` bit/s."""
    maximum = _max_bitrate_args(limit) if limit else []
    if encoder in ("libvpx-vp9", "libaom-av1"):
        # Without -b:v, these encoders use constrained quality with a default bitrate.
        return ["-crf", str(crf), "-b:v", str(limit or 0)]
    name, _, kind = encoder.rpartition("_")
    match kind:
        case "nvenc":
            return ["-rc", "vbr", "-cq", str(crf), "-b:v", "0", *maximum]
        case "qsv":
            # A bitrate would switch it from constant quality to another mode.
            return ["-global_quality", str(crf if name in ("h264", "hevc") else crf * 51 // 63)]
        case "vaapi":
            return ["-rc_mode", "CQP", "-global_quality", str(crf if name in ("h264", "hevc") else crf * 4)]
        case "videotoolbox":
            return ["-q:v", str(max(1, round(100 - 1.75 * crf))), *maximum]
        case _:
            return ["-crf", str(crf), *maximum]


def average_bitrate_args(encoder: str, rate: int, limit: int | None) -> list[str]:
    """Return the arguments for an average of `rate` bit/s, with a maximum of `limit` bit/s."""
    if encoder == "libsvtav1":  # it accepts a maximum only with a CRF
        return ["-b:v", str(rate)]
    mode = ["-rc", "vbr"] if encoder.endswith("_nvenc") else []
    return [*mode, "-b:v", str(rate), *_max_bitrate_args(limit or rate * 3 // 2, rate * 2)]


def _max_bitrate_args(limit: int, buffer: int | None = None) -> list[str]:
    return ["-maxrate", str(limit), "-bufsize", str(buffer or limit * 2)]
