"""Audio filters and options that a client may use.

Options have FFmpeg's names and order (`ffmpeg -h filter=NAME`), because a client may leave out the names. Options that
name files, hold expressions or draw video are absent. Some bounds are narrower than FFmpeg's, to limit memory.
"""

from dataclasses import dataclass

from callsheet.media.filters.filter_options import (
    Integer,
    ListOf,
    Number,
    OptionType,
    boolean,
    channels,
    choice,
    equalizer_bands,
    pan_channels,
    seconds,
    transfer_points,
)


@dataclass(frozen=True, slots=True)
class FilterOption:
    """An option of a filter: its names, of which the first is FFmpeg's own, and its type."""

    names: tuple[str, ...]
    type: OptionType


def _option(names: str, kind: OptionType) -> FilterOption:
    return FilterOption(tuple(names.split()), kind)


_SHARE = Number(0, 1)
_GAIN = Number(-900, 900)
_LEVEL = Number(0.015625, 64)
_SAMPLES = Integer(0, 2**31 - 1)

_CURVE = choice(
    "nofade tri qsin esin hsin log ipar qua cub squ cbr par exp iqsin ihsin dese desi losi sinc isinc quat quatr "
    "qsin2 hsin2"
)
_FREQUENCY = _option("frequency f", Number(0, 999_999))
_WIDTH = (_option("width_type t", choice("h q o s k")), _option("width w", Number(0, 99_999)))
_BAND_GAIN = _option("gain g", _GAIN)
_POLES = _option("poles p", Integer(1, 2))
_BIQUAD = (
    _option("mix m", _SHARE),
    _option("channels c", channels),
    _option("normalize n", boolean),
    _option("transform a", choice("di dii tdi tdii latt svf zdf")),
    _option("precision r", choice("auto s16 s32 f32 f64")),
    _option("blocksize b", Integer(0, 32_768)),
)
_SHELF = (_FREQUENCY, *_WIDTH, _BAND_GAIN, _POLES, *_BIQUAD)
_PASS = (_FREQUENCY, *_WIDTH, _POLES, *_BIQUAD)

ALLOWED_AUDIO_FILTERS: dict[str, tuple[FilterOption, ...]] = {
    "acompressor": (
        _option("level_in", _LEVEL),
        _option("mode", choice("downward upward")),
        _option("threshold", Number(0.000976563, 1)),
        _option("ratio", Number(1, 20)),
        _option("attack", Number(0.01, 2000)),
        _option("release", Number(0.01, 9000)),
        _option("makeup", Number(1, 64)),
        _option("knee", Number(1, 8)),
        _option("link", choice("average maximum")),
        _option("detection", choice("peak rms")),
        _option("level_sc", _LEVEL),
        _option("mix", _SHARE),
    ),
    "aecho": (
        _option("in_gain", _SHARE),
        _option("out_gain", _SHARE),
        _option("delays", ListOf(Number(0, 90_000), max_items=16)),
        _option("decays", ListOf(_SHARE, max_items=16)),
    ),
    "afade": (
        _option("type t", choice("in out")),
        _option("start_sample ss", _SAMPLES),
        _option("nb_samples ns", Integer(1, 2**31 - 1)),
        _option("start_time st", seconds),
        _option("duration d", seconds),
        _option("curve c", _CURVE),
        _option("silence", _SHARE),
        _option("unity", _SHARE),
    ),
    "agate": (
        _option("level_in", _LEVEL),
        _option("mode", choice("downward upward")),
        _option("range", _SHARE),
        _option("threshold", _SHARE),
        _option("ratio", Number(1, 9000)),
        _option("attack", Number(0.01, 9000)),
        _option("release", Number(0.01, 9000)),
        _option("makeup", Number(1, 64)),
        _option("knee", Number(1, 8)),
        _option("detection", choice("peak rms")),
        _option("link", choice("average maximum")),
        _option("level_sc", _LEVEL),
    ),
    "alimiter": (
        _option("level_in", _LEVEL),
        _option("level_out", _LEVEL),
        _option("limit", Number(0.0625, 1)),
        _option("attack", Number(0.1, 80)),
        _option("release", Number(1, 8000)),
        _option("asc", boolean),
        _option("asc_level", _SHARE),
        _option("level", boolean),
        _option("latency", boolean),
    ),
    "anequalizer": (_option("params", equalizer_bands),),
    "aresample": (
        _option("sample_rate", Integer(8000, 192_000)),
        _option("dither_method", choice("rectangular triangular triangular_hp lipshitz shibata low_shibata")),
        _option("cutoff resample_cutoff", _SHARE),
        _option("resampler", choice("swr soxr")),
        _option("precision", Number(15, 33)),
        _option("min_hard_comp", _SHARE),
        _option("async", Integer(0, 192_000)),
        _option("first_pts", Integer(0, 2**31 - 1)),
    ),
    "asubboost": (
        _option("dry", _SHARE),
        _option("wet", _SHARE),
        _option("boost", Number(1, 12)),
        _option("decay", _SHARE),
        _option("feedback", _SHARE),
        _option("cutoff", Number(50, 900)),
        _option("slope", Number(0.0001, 1)),
        _option("delay", Number(1, 100)),
        _option("channels", channels),
    ),
    "bandpass": (_FREQUENCY, *_WIDTH, _option("csg", boolean), *_BIQUAD),
    "bandreject": (_FREQUENCY, *_WIDTH, *_BIQUAD),
    "bass": _SHELF,
    "compand": (
        _option("attacks", ListOf(Number(0, 60), separators="| ")),
        _option("decays", ListOf(Number(0, 60), separators="| ")),
        _option("points", transfer_points),
        _option("soft-knee", Number(0.01, 900)),
        _option("gain", _GAIN),
        _option("volume", Number(-900, 0)),
        _option("delay", Number(0, 20)),
    ),
    "deesser": (
        _option("i", _SHARE),
        _option("m", _SHARE),
        _option("f", _SHARE),
        _option("s", choice("i o e")),
    ),
    "dynaudnorm": (
        _option("framelen f", Integer(10, 8000)),
        _option("gausssize g", Integer(3, 301)),
        _option("peak p", _SHARE),
        _option("maxgain m", Number(1, 100)),
        _option("targetrms r", _SHARE),
        _option("coupling n", boolean),
        _option("correctdc c", boolean),
        _option("altboundary b", boolean),
        _option("compress s", Number(0, 30)),
        _option("threshold t", _SHARE),
        _option("channels h", channels),
        _option("overlap o", _SHARE),
    ),
    "equalizer": (_FREQUENCY, *_WIDTH, _BAND_GAIN, *_BIQUAD),
    "extrastereo": (_option("m", Number(-10, 10)), _option("c", boolean)),
    "highpass": _PASS,
    "highshelf": _SHELF,
    "loudnorm": (
        _option("I i", Number(-70, -5)),
        _option("LRA lra", Number(1, 50)),
        _option("TP tp", Number(-9, 0)),
        _option("measured_I measured_i", Number(-99, 0)),
        _option("measured_LRA measured_lra", Number(0, 99)),
        _option("measured_TP measured_tp", Number(-99, 99)),
        _option("measured_thresh", Number(-99, 0)),
        _option("offset", Number(-99, 99)),
        _option("linear", boolean),
        _option("dual_mono", boolean),
        _option("print_format", choice("none json summary")),
    ),
    "lowpass": _PASS,
    "lowshelf": _SHELF,
    "pan": (_option("args", pan_channels),),
    "speechnorm": (
        _option("peak p", _SHARE),
        _option("expansion e", Number(1, 50)),
        _option("compression c", Number(1, 50)),
        _option("threshold t", _SHARE),
        _option("raise r", _SHARE),
        _option("fall f", _SHARE),
        _option("channels h", channels),
        _option("invert i", boolean),
        _option("link l", boolean),
        _option("rms m", _SHARE),
    ),
    "stereotools": (
        _option("level_in", _LEVEL),
        _option("level_out", _LEVEL),
        _option("balance_in", Number(-1, 1)),
        _option("balance_out", Number(-1, 1)),
        _option("softclip", boolean),
        _option("mutel", boolean),
        _option("muter", boolean),
        _option("phasel", boolean),
        _option("phaser", boolean),
        _option("mode", choice("lr>lr lr>ms ms>lr lr>ll lr>rr lr>l+r lr>rl ms>ll ms>rr ms>rl lr>l-r")),
        _option("slev", _LEVEL),
        _option("sbal", Number(-1, 1)),
        _option("mlev", _LEVEL),
        _option("mpan", Number(-1, 1)),
        _option("base", Number(-1, 1)),
        _option("delay", Number(-20, 20)),
        _option("sclevel", Number(1, 100)),
        _option("phase", Number(0, 360)),
    ),
    "treble": _SHELF,
    "virtualbass": (_option("cutoff", Number(100, 500)), _option("strength", Number(0.5, 3))),
    "volume": (
        _option("volume", Number(0, 1000)),
        _option("precision", choice("fixed float double")),
    ),
}
"""Allowed filters, and their allowed options in the order of FFmpeg."""
