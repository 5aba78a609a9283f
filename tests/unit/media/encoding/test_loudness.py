import asyncio
from pathlib import Path

import pytest

from callsheet.domain.errors import FFmpegFailed
from callsheet.media.encoding.loudness import (
    Loudness,
    NormalizedAudio,
    Target,
    gain_filter,
    loudness_target,
    measure,
    normalize,
    read_audio_filter,
    read_meter,
)
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.probing.probe import probe_details

from ..studio import Studio

SIGNALS = {
    "quiet": "sine=frequency=300:sample_rate=48000,volume=-15dB,aformat=channel_layouts=stereo",
    "hot": "anoisesrc=color=pink:amplitude=1:r=48000,volume=6dB,aformat=channel_layouts=stereo",
    "peaky": "aevalsrc='0.02*sin(2*PI*200*t)+0.9*sin(2*PI*900*t)*lt(mod(t,2),0.02)|0.02*sin(2*PI*200*t)':s=48000",
    "speech": "aevalsrc='0.2*random(0)*lt(mod(t,2),1.2)*(0.5+0.5*sin(2*PI*4*t))':s=44100",
}


@pytest.mark.parametrize("name", SIGNALS)
async def test_every_signal_reaches_the_target(studio: Studio, ffmpeg: FFmpeg, tmp_path: Path, name: str):
    path = studio.sound(f"{name}.wav", SIGNALS[name], seconds=6)

    made = await normalize(ffmpeg, path, await measure(ffmpeg, path), Target(), tmp_path / "out.w64")

    reached = await measure(ffmpeg, made.path)
    assert made.note is None
    assert reached.integrated == pytest.approx(-16, abs=0.5)
    assert reached.true_peak <= -1.5


async def test_silence_is_not_changed(studio: Studio, ffmpeg: FFmpeg, tmp_path: Path):
    path = studio.sound("silence.wav", "anullsrc=r=48000:cl=stereo")
    measured = await measure(ffmpeg, path)

    assert measured.is_silence
    assert await normalize(ffmpeg, path, measured, Target(), tmp_path / "out.w64") == NormalizedAudio(path)


def test_audio_at_the_target_is_not_changed():
    assert gain_filter(Loudness(-16.0, -6.0), Target()) is None


def test_a_gain_suffices_if_no_peak_is_too_high():
    assert gain_filter(Loudness(-20.0, -10.0), Target()) == "volume=4dB"


def test_peaks_are_limited_at_four_times_the_rate():
    filters = gain_filter(Loudness(-20.0, -3.0), Target())

    assert filters is not None
    assert filters.startswith("volume=4dB,aresample=192000,alimiter=limit=0.8128")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("loudnorm=I=-16:TP=-1.5:LRA=11", Target(-16, -1.5)),
        ("loudnorm=i=-14", Target(-14, -1.5)),
        ("loudnorm", Target()),
        ("highpass=f=80", "highpass=f=80"),
        ("loudnorm=I=-16,highpass=f=80", "loudnorm=I=-16,highpass=f=80"),
        ("loudnorm=I=x", "loudnorm=I=x"),
    ],
)
def test_a_loudnorm_filter_is_parsed_as_a_target(text: str, expected: Target | str):
    assert read_audio_filter(text) == expected


def test_the_parameter_takes_precedence_over_the_setting():
    default = Target(-14, -1)

    assert loudness_target(None, default) == loudness_target(True, default) == default
    assert loudness_target(False, default) is None
    assert loudness_target(-23, default) == Target(-23, -1)
    assert loudness_target(-23, "highpass=f=80") == Target(-23, -1.5)
    assert loudness_target(None, "") is None


def test_a_log_without_a_measurement_is_an_error():
    with pytest.raises(FFmpegFailed, match="could not be measured"):
        read_meter("no summary")


async def test_the_peak_limit_takes_precedence_over_the_loudness(studio: Studio, ffmpeg: FFmpeg, tmp_path: Path):
    clicks = "0.9*lt(mod(t,0.25),0.001)+0.001*random(0)"
    path = studio.sound("clicks.wav", f"aevalsrc='{clicks}|{clicks}':s=48000")
    encoding = ["-c:a", "aac", "-b:a", "192k"]

    made = await normalize(ffmpeg, path, await measure(ffmpeg, path), Target(), tmp_path / "out.w64", encoding)

    reached = await measure(ffmpeg, made.path)
    assert (await probe_details(made.path)).probe.audio_codec == "aac"
    assert reached.true_peak <= -1.5
    assert made.note == (
        f"the loudness is {reached.integrated:.1f} LUFS with a true peak of {reached.true_peak:.1f} dBTP; the target "
        "of -16 LUFS and at most -1.5 dBTP cannot be reached with this audio"
    )


async def test_audio_shorter_than_a_measurement_block_is_repeated(studio: Studio, ffmpeg: FFmpeg):
    tone = "sine=frequency=1000:sample_rate=48000,aformat=channel_layouts=stereo"
    short, long = (studio.sound(f"{seconds}.wav", tone, seconds=seconds) for seconds in (0.2, 3))

    assert (await measure(ffmpeg, short)).integrated == pytest.approx((await measure(ffmpeg, long)).integrated, abs=0.3)


async def test_audio_without_samples_is_silence(studio: Studio, ffmpeg: FFmpeg):
    empty = studio.sound("empty.wav", "sine", seconds=0)

    async with asyncio.timeout(20):
        assert (await measure(ffmpeg, empty)).is_silence
