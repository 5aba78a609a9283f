"""Audio filters in a client's text: only allowed filters, options and values, written again by us."""

import re
import subprocess
from pathlib import Path

import pytest

from callsheet.media.ffmpeg.binary import find_ffmpeg
from callsheet.media.filters.audio_filter_allowlist import ALLOWED_AUDIO_FILTERS
from callsheet.media.filters.audio_filter_parser import validate_audio_filter
from callsheet.media.filters.filter_options import Choice, Integer, Number, boolean, seconds
from callsheet.settings import Settings

_OPTION = re.compile(r"^ {2,3}-?([\w-]+) +<(\w+)> +\S+(?: .*?\(from (\S+) to (\S+?)\))?", re.MULTILINE)
_FFMPEG_TYPES = {"int": int, "int64": int, "double": float, "float": float}


@pytest.fixture(scope="module")
def ffmpeg() -> Path:
    return find_ffmpeg(Settings(_env_file=None))


def bound(text: str) -> float:
    """Parse a bound of FFmpeg's help, such as `-900`, `INT_MIN` or `I64_MAX`."""
    return float({"MIN": "-inf", "MAX": "inf"}.get(text[-3:], text))


def ffmpeg_help(ffmpeg: Path, name: str) -> str:
    command = [str(ffmpeg), "-hide_banner", "-h", f"filter={name}"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("highpass=f=80,acompressor", "highpass=f=80,acompressor"),
        ("highpass=80, volume=-6dB", "highpass=frequency=80,volume=volume=0.501187234"),
        ("aecho=0.8:0.9:500|1000:0.3|0.1", "aecho=in_gain=0.8:out_gain=0.9:delays=500|1000:decays=0.3|0.1"),
        ("afade=out:st=1.5:d=200ms", "afade=type=out:st=1.5:d=0.2"),
        ("loudnorm=-14:TP=-1", "loudnorm=I=-14:TP=-1"),
        ("compand=.3|.3", None),
        ("compand=0.3 0.3:1 1:-90/-60|-30/-9|20/-8:6:0:-90:0.2",
         "compand=attacks=0.3|0.3:decays=1|1:points=-90/-60|-30/-9|20/-8:soft-knee=6:gain=0:volume=-90:delay=0.2"),
        ("pan=stereo|c0=0.5*FL+0.5*FC|c1=FR", "pan=args=stereo|c0=0.5*FL+0.5*FC|c1=FR"),
        ("anequalizer=c0 f=200 w=100 g=-10 t=1|c1 f=1k w=100 g=3",
         "anequalizer=params=c0 f=200 w=100 g=-10 t=1|c1 f=1000 w=100 g=3"),
        ("equalizer=f=1k:t=q:w=1:g=2:c=FL+FR", "equalizer=f=1000:t=q:w=1:g=2:c=FL+FR"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_filter_is_written_again_from_its_values(text: str, written: str | None):
    if written is None:
        with pytest.raises(ValueError, match="number from 0 to 60"):
            validate_audio_filter(text)
    else:
        assert validate_audio_filter(text) == written
        assert validate_audio_filter(written) == written


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("amovie=/etc/passwd", "the filter 'amovie' is not allowed"),
        ("volum=1", "did you mean 'volume'?"),
        ("volume=/volume=/etc/passwd", "volume: '/volume=/etc/passwd' is no valid value of 'volume'"),
        ("volume=1:/volume=/etc/passwd", "volume: '/volume=/etc/passwd' is no valid value of 'precision'"),
        ("volume=precision=/etc/passwd", "allowed: fixed, float, double"),
        ("loudnorm=stats_file=x", "loudnorm: the option 'stats_file' is not allowed"),
        ("firequalizer=dumpfile=x", "the filter 'firequalizer' is not allowed"),
        ("ladspa=f=x", "the filter 'ladspa' is not allowed"),
        ("anequalizer=curves=1", "anequalizer: the option 'curves' is not allowed"),
        ("anequalizer=c0 f=/etc w=1 g=1", "number from 0 to 999999"),
        ("pan=stereo|c0=movie", "allowed: a layout"),
        ("volume=nan", "number from 0 to 1000"),
        ("volume=1e99", "number from 0 to 1000"),
        ("volume=1:2:3", "the value '3' has no option"),
        ("volume=volume=1:enable=between(t\\,1\\,2)", "the character '\\\\' is not allowed"),
        ("volume=1[o];amovie=x", "the character '[' is not allowed"),
        ("volume=1;anullsrc", "the character ';' is not allowed"),
        ("volume='1'", "is not allowed"),
        ("volume=1\n,anull", "is not allowed"),
        ("aresample=2147483647", "whole number from 8000 to 192000"),
        ("highpass=f=１２", "number from 0 to 999999"),
        (",".join(["volume=1"] * 33), "33 filters are given, at most 32"),
    ],
)  # fmt: skip
def test_what_is_not_allowed_is_rejected_with_the_reason(text: str, problem: str):
    with pytest.raises(ValueError, match=re.escape(problem)):
        validate_audio_filter(text)


def test_all_problems_are_reported_at_once():
    with pytest.raises(ValueError, match=r"'amovie' is not allowed.*'x' is no valid value of 'f'.*option 'q' is not"):
        validate_audio_filter("amovie=x, highpass=f=x:q=1")


@pytest.mark.parametrize("name", ALLOWED_AUDIO_FILTERS)
def test_options_have_the_names_order_and_bounds_of_ffmpeg(ffmpeg: Path, name: str):
    text = ffmpeg_help(ffmpeg, name)
    known = {match[1]: match for match in _OPTION.finditer(text)}
    order = list(known)
    options = ALLOWED_AUDIO_FILTERS[name]

    for option in options:
        for alias in option.names:
            assert alias in known
            _, kind, low, high = known[alias].groups()
            if isinstance(option.type, Integer | Number) and kind in _FFMPEG_TYPES and low is not None:
                assert option.type.low >= bound(low)
                assert option.type.high <= bound(high)
            if option.type is boolean:
                assert kind == "boolean"
            if option.type is seconds:
                assert kind == "duration"
            if isinstance(option.type, Choice):
                assert all(
                    re.search(rf"^ {{5}}{re.escape(value)} +-?\d+ ", text, re.MULTILINE) for value in option.type.names
                )
    positions = [order.index(option.names[0]) for option in options]
    assert positions == sorted(positions)


@pytest.mark.parametrize("name", ALLOWED_AUDIO_FILTERS)
def test_no_allowed_option_names_a_file(ffmpeg: Path, name: str):
    texts = [match[1] for match in _OPTION.finditer(ffmpeg_help(ffmpeg, name)) if match[2] == "string"]
    allowed = {alias for option in ALLOWED_AUDIO_FILTERS[name] for alias in option.names}
    for option in allowed.intersection(texts):
        with pytest.raises(ValueError, match="is no valid value"):
            validate_audio_filter(f"{name}={option}=/etc/passwd")


def test_ffmpeg_accepts_what_is_written(ffmpeg: Path):
    text = (
        "highpass=80,volume=-6dB,aecho=0.8:0.9:500|1000:0.3|0.1,afade=out:st=0.1:d=200ms,alimiter=limit=0.8:asc=1,"
        "compand=0.3 0.3:1 1:-90/-60|-30/-9|20/-8:6:0:-90:0.2,pan=stereo|c0=0.5*FL+0.5*FR|c1<FL+FR,"
        "anequalizer=c0 f=200 w=100 g=-10 t=1|c1 f=1k w=100 g=3,equalizer=f=1k:t=q:w=1:g=2:c=FL+FR,"
        "aresample=48000:async=1:first_pts=0,stereotools=mode=lr>l+r,dynaudnorm=f=150:g=15,deesser=i=0.1,speechnorm=e=2"
    )
    source = ["-f", "lavfi", "-i", "sine=d=0.2,aformat=channel_layouts=stereo"]
    command = [str(ffmpeg), "-v", "error", *source, "-af", validate_audio_filter(text), "-f", "null", "-"]
    made = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert (made.returncode, made.stderr) == (0, "")
