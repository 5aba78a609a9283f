"""Channel layouts that FFmpeg's own conversion does not hear completely."""

import wave
from pathlib import Path

import numpy as np
import pytest

from callsheet.media.clips.concat import concat_audio
from callsheet.media.encoding.downmix import downmix_filters, downmix_notes
from callsheet.media.ffmpeg.binary import open_ffmpeg
from callsheet.media.ffmpeg.runner import FFmpeg
from callsheet.media.probing.probe import probe_details
from callsheet.media.speech.audio_extract import extract_speech
from callsheet.settings import Settings
from media.studio import Studio

_RATE, _LEVEL = 48_000, 0.5


@pytest.fixture
def ffmpeg() -> FFmpeg:
    return open_ffmpeg(Settings(_env_file=None))


def write_wav(path: Path, gains: list[float]) -> Path:
    """Write a tone with a gain for each channel."""
    tone = _LEVEL * np.sin(np.arange(_RATE // 2) * 2 * np.pi * 440 / _RATE)
    samples = (np.outer(tone, gains) * 32767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(gains))
        file.setsampwidth(2)
        file.setframerate(_RATE)
        file.writeframes(samples.tobytes())
    return path


def peak(studio: Studio, path: Path) -> float:
    return float(np.abs(studio.audio_samples(path)[4800:]).max())


def speech_peak(path: Path) -> float:
    with wave.open(str(path)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    return float(np.abs(samples[1600:]).max() / 32768)


@pytest.mark.parametrize(
    ("gains", "level", "note"),
    [
        ([1, -1], 0.5, "opposite polarity"),
        ([1, -0.9], 0.475, "opposite polarity"),
        ([1, 0], 0.25, None),
        ([1, 1], 0.5, None),
        ([1], 0.5, None),
        ([0] * 11 + [1], 0.042, "12 channels"),
    ],
)
async def test_speech_is_audible_whatever_its_channels(
    ffmpeg: FFmpeg, tmp_path: Path, gains: list[float], level: float, note: str | None
):
    source = await probe_details(write_wav(tmp_path / "voice.wav", gains))

    extracted = await extract_speech(ffmpeg, source, tmp_path / "speech.wav")

    assert speech_peak(tmp_path / "speech.wav") == pytest.approx(level, rel=0.1)
    assert [note in each for each in extracted.notes] == ([True] if note else [])


async def test_all_channels_are_joined(ffmpeg: FFmpeg, studio: Studio, tmp_path: Path):
    file = await probe_details(write_wav(tmp_path / "tracks.wav", [0] * 11 + [1]))

    path, _, _ = await concat_audio([file], ffmpeg, tmp_path, lambda _: None)

    assert peak(studio, path) > 0.02


@pytest.mark.parametrize(
    ("layout", "filters"),
    [
        ("stereo", []),
        ("5.1(side)", []),
        ("7.1", []),
        ("ambisonic 1", [("pan", {"args": "stereo|c0=c0|c1=c0"})]),
        ("8 channels", []),
        (None, []),
        ("a layout of the future", []),
    ],
)
def test_ffmpeg_converts_what_it_hears(layout: str | None, filters: list[object]):
    assert downmix_filters(layout) == filters
    assert bool([*downmix_notes("a.wav", layout)]) == bool(filters)


def test_channels_above_the_listener_are_mixed_to_their_side():
    (_, options), *_ = downmix_filters("22.2")

    left, right = str(options["args"]).split("|")[1:]
    assert "+c12" in left and "+c12" not in right  # TFL
    assert "+c14" in right and "+c14" not in left  # TFR
    assert "0.707*c11" in left and "0.707*c11" in right  # TC
