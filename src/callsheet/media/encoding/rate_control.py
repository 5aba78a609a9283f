"""How encoders are told how good or how large a picture may become."""

from callsheet.media.encoding.codecs import VideoCodec
from callsheet.media.values import Quality

_CRF: dict[VideoCodec, dict[Quality | None, int]] = {
    "h264": {"low": 28, "medium": 23, None: 20, "high": 19, "best": 16},
    "h265": {"low": 32, "medium": 27, None: 24, "high": 23, "best": 20},
    "vp9": {"low": 38, "medium": 32, None: 28, "high": 26, "best": 20},
    "av1": {"low": 40, "medium": 34, None: 30, "high": 28, "best": 22},
}
"""Factors of about equal looks in each column; None is for films whose maker did not say."""


def crf_of(codec: VideoCodec, quality: Quality | None) -> int:
    """Return the codec's constant rate factor for a quality."""
    return _CRF[codec][quality]


def constant_quality_args(encoder: str, crf: int, limit: int | None) -> list[str]:
    """Return the options for an even quality, at `limit` bit/s at most."""
    capped = _max_bitrate_args(limit) if limit else []
    if encoder in ("libvpx-vp9", "libaom-av1"):
        # Without a bit rate these two take the factor for a mere limit on top of a default one.
        return ["-crf", str(crf), "-b:v", str(limit or 0)]
    name, _, hardware = encoder.rpartition("_")
    match hardware:
        case "nvenc":
            return ["-rc", "vbr", "-cq", str(crf), "-b:v", "0", *capped]
        case "qsv":
            # With a bit rate it would leave the mode of even quality.
            return ["-global_quality", str(crf if name in ("h264", "hevc") else crf * 51 // 63)]
        case "vaapi":
            return ["-rc_mode", "CQP", "-global_quality", str(crf if name in ("h264", "hevc") else crf * 4)]
        case "videotoolbox":
            return ["-q:v", str(max(1, round(100 - 1.75 * crf))), *capped]
        case _:
            return ["-crf", str(crf), *capped]


def average_bitrate_args(encoder: str, rate: int, limit: int | None) -> list[str]:
    """Return the options for an average of `rate` bit/s."""
    if encoder == "libsvtav1":  # it takes a maximum together with a CRF only
        return ["-b:v", str(rate)]
    mode = ["-rc", "vbr"] if encoder.endswith("_nvenc") else []
    return [*mode, "-b:v", str(rate), *_max_bitrate_args(limit or rate * 3 // 2, rate * 2)]


def _max_bitrate_args(limit: int, buffer: int | None = None) -> list[str]:
    return ["-maxrate", str(limit), "-bufsize", str(buffer or limit * 2)]
