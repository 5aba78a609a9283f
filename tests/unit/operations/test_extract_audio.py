from pathlib import Path
from typing import Any

import numpy as np
import pytest
from media.studio import FakeContext, Studio

from callsheet.domain.errors import BadParams
from callsheet.domain.plan_validation import validate_params
from callsheet.operations.extract_audio import ExtractAudioResult, extract_audio

_MONO = 0.5**0.5
"""Factor of the level of mono audio when it is decoded to stereo."""
TONE = "sine=frequency=440:sample_rate=44100"


async def take(stage: FakeContext, path: Path, **params: Any) -> tuple[ExtractAudioResult, Path]:
    result = await extract_audio.run(stage, validate_params({"src": str(path), **params}, extract_audio.params))
    assert isinstance(result, ExtractAudioResult)
    return result, stage.kept[-1]


@pytest.fixture
def film(studio: Studio) -> Path:
    return studio.clip("spoken.mp4", "testsrc2=size=64x64:rate=30", seconds=2, sound=TONE)


@pytest.mark.parametrize(
    ("format", "codec"),
    [("wav", "pcm_s16le"), ("mp3", "mp3"), ("m4a", "aac"), ("opus", "opus"), ("flac", "flac")],
)
async def test_every_format_contains_the_whole_audio(
    stage: FakeContext, studio: Studio, film: Path, format: str, codec: str
):
    result, path = await take(stage, film, format=format)

    probe = result.audio.probe
    assert probe is not None
    assert (probe.audio_codec, probe.audio_channels, probe.width) == (codec, 1, None)
    assert result.audio.name == f"audio.{format}"
    audio = studio.audio_samples(path)
    assert len(audio) / 48000 == pytest.approx(2, abs=0.06)
    assert np.abs(audio[4800:-9600]).max() == pytest.approx(_MONO / 8, abs=0.01)
    assert result.copied is (format == "m4a")


async def test_by_default_the_audio_is_copied(stage: FakeContext, studio: Studio, film: Path):
    result, path = await take(stage, film)

    assert (result.copied, path.suffix) == (True, ".m4a")
    assert np.array_equal(studio.audio_samples(path), studio.audio_samples(film))


async def test_audio_can_be_converted_for_speech_recognition(stage: FakeContext, film: Path):
    result, _ = await take(stage, film, format="wav", channels=1, sample_rate=16000)

    probe = result.audio.probe
    assert probe is not None
    assert (probe.audio_channels, probe.sample_rate, probe.duration) == (1, 16000, pytest.approx(2, abs=0.05))


async def test_late_audio_keeps_its_delay(stage: FakeContext, studio: Studio, film: Path):
    late = studio.make(
        "late.mp4", "-i", str(film), "-itsoffset", "1.5", "-i", str(film), "-map", "0:v", "-map", "1:a", "-c", "copy"
    )

    result, path = await take(stage, late, format="wav")

    loud = np.abs(studio.audio_samples(path)[:, 0]) > 0.01
    assert np.argmax(loud) / 48000 == pytest.approx(1.5, abs=0.03)
    assert result.duration == pytest.approx(3.5, abs=0.05)


async def test_late_audio_is_not_copied(stage: FakeContext, studio: Studio, film: Path):
    late = studio.make(
        "late.mp4", "-i", str(film), "-itsoffset", "1.5", "-i", str(film), "-map", "0:v", "-map", "1:a", "-c", "copy"
    )

    result, _ = await take(stage, late)

    assert not result.copied


async def test_a_range_of_a_stream_is_extracted(stage: FakeContext, studio: Studio):
    sweep = "aevalsrc='if(lt(t,1),0.1,0.5)*sin(2*PI*500*t)':s=48000:d=2"
    two = studio.make(
        "two.mkv", "-f", "lavfi", "-i", "sine=d=2", "-f", "lavfi", "-i", sweep, "-map", "0", "-map", "1", "-c:a", "flac"
    )

    result, path = await take(stage, two, track=1, start=0.5, duration="0:01", format="flac")

    audio = np.abs(studio.audio_samples(path)[:, 0])
    assert len(audio) == 48000
    assert result.duration == pytest.approx(1)
    assert audio[:23000].max() == pytest.approx(0.1 * _MONO, abs=0.01)
    assert audio[25000:].max() == pytest.approx(0.5 * _MONO, abs=0.01)


async def test_surround_audio_is_kept_or_downmixed(stage: FakeContext, studio: Studio):
    surround = studio.make(
        "surround.mkv", "-f", "lavfi", "-i", "anoisesrc=d=1,aformat=channel_layouts=5.1", "-c:a", "ac3"
    )

    for format, channels in (("flac", 6), ("opus", 6), ("mp3", 2)):
        result, _ = await take(stage, surround, format=format)
        assert result.audio.probe is not None and result.audio.probe.audio_channels == channels
    result, _ = await take(stage, surround, format="m4a", channels=1)
    assert result.audio.probe is not None and result.audio.probe.audio_channels == 1


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"track": 2}, "the file has 1 audio stream, counted from 0; got 2"),
        ({"start": 9}, "start is 9 s, but the audio ends at 2 s"),
    ],
)
async def test_a_missing_stream_or_range_is_rejected(
    stage: FakeContext, film: Path, params: dict[str, Any], message: str
):
    with pytest.raises(BadParams, match=message):
        await take(stage, film, **params)


async def test_a_video_without_audio_is_rejected(stage: FakeContext, studio: Studio):
    with pytest.raises(BadParams, match="there is no audio in this file"):
        await take(stage, studio.clip("silent.mp4"))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"format": "wav", "bitrate": "128k"}, "wav is lossless and has no bitrate"),
        ({"format": "opus", "sample_rate": 44100}, "opus supports the sample rates"),
        ({"duration": 0}, "duration must be above 0"),
    ],
)
def test_conflicting_params_are_rejected(params: dict[str, Any], message: str):
    with pytest.raises(BadParams, match=message):
        validate_params({"src": "a.mp4", **params}, extract_audio.params)


@pytest.mark.parametrize("format", [None, "wav"])
@pytest.mark.parametrize(("name", "coding"), [("clock.ts", "libx264"), ("clock.mpg", "mpeg2video")])
async def test_timestamps_that_do_not_start_at_0_add_no_silence(
    stage: FakeContext, studio: Studio, name: str, coding: str, format: str | None
):
    args = ["-f", "lavfi", "-i", "testsrc2=size=64x64:rate=30", "-f", "lavfi", "-i", TONE, "-t", "2"]
    film = studio.make(name, *args, "-c:v", coding, "-c:a", "mp2")

    result, path = await take(stage, film, format=format)

    assert result.duration == pytest.approx(2, abs=0.06)
    assert len(studio.audio_samples(path)) / 48_000 == pytest.approx(2, abs=0.06)


async def test_the_padding_of_an_encoder_is_no_audio(stage: FakeContext, studio: Studio):
    source = studio.make("padded.m4a", "-f", "lavfi", "-i", f"{TONE}:duration=2", "-c:a", "aac")

    _, path = await take(stage, source, format="wav", sample_rate=48000)

    assert len(studio.audio_samples(path)) == 96_000
