from pathlib import Path

import numpy as np
import pytest
from media.studio import Stage, Studio

from callsheet.domain.checking import validate_params
from callsheet.domain.errors import BadParams, MediaFailed
from callsheet.media.loudness import measure
from callsheet.operations.finish import FinishResult, finish

TONE = "sine=frequency=440:sample_rate=44100,volume=-10dB"


async def make(stage: Stage, path: Path, **params: object) -> tuple[FinishResult, Path]:
    result = await finish.run(stage, validate_params({"video": str(path), **params}, finish.params))
    assert isinstance(result, FinishResult)
    return result, stage.kept[-1]


async def test_a_film_is_brought_to_shape_and_loudness(stage: Stage, studio: Studio):
    wide = studio.clip("wide.mp4", "testsrc2=size=320x180:rate=25", seconds=2, sound=TONE)

    result, path = await make(stage, wide)

    probe = result.video.probe
    assert probe is not None
    assert (probe.width, probe.height, probe.fps, probe.frames) == (180, 320, 25.0, 50)
    assert (await measure(stage.ffmpeg, path)).integrated == pytest.approx(-16, abs=0.5)
    assert b"moov" in path.read_bytes()[:64]
    assert result.notes == []
    assert stage.told == sorted(stage.told)


@pytest.mark.parametrize(("fit", "corner_is_black"), [("cover", False), ("contain", True), ("contain_blur", False)])
async def test_a_film_fits_as_wished(stage: Stage, studio: Studio, fit: str, corner_is_black: bool):
    white = studio.clip("white.mp4", "color=white:size=320x180:rate=25")

    _, path = await make(stage, white, aspect_ratio="1:1", fit=fit)

    frame = studio.look(path, size=(180, 180))[10]
    assert bool(frame[:20].mean() < 5) is corner_is_black
    assert frame[90].mean() > 250


async def test_a_film_that_fits_already_is_not_encoded_again(stage: Stage, studio: Studio):
    upright = studio.clip("upright.mp4", "testsrc2=size=162x288:rate=30", seconds=2, sound=TONE)

    result, path = await make(stage, upright)

    assert "not encoded again" in result.notes[0]
    assert np.array_equal(studio.look(path, size=(162, 288)), studio.look(upright, size=(162, 288)))
    assert (await measure(stage.ffmpeg, path)).integrated == pytest.approx(-16, abs=0.5)


async def test_a_preset_means_encoding_again(stage: Stage, studio: Studio):
    upright = studio.clip("upright.mp4", "testsrc2=size=162x288:rate=30", seconds=2, sound=TONE)

    result, _ = await make(stage, upright, preset="veryfast", crf=40)

    assert result.notes == []
    assert result.video.size < upright.stat().st_size / 2


async def test_a_film_without_sound_stays_without(stage: Stage, studio: Studio):
    result, _ = await make(stage, studio.clip("plain.mp4"), width=90)

    probe = result.video.probe
    assert probe is not None
    assert (probe.width, probe.height, probe.audio_codec) == (90, 160, None)


async def test_the_sound_filter_of_a_plan_is_used(stage: Stage, studio: Studio):
    film = studio.clip("upright.mp4", "testsrc2=size=162x288:rate=30", seconds=2, sound=TONE)

    _, path = await make(stage, film, audio_filter="volume=0.01,aecho=0.8:0.9:500:0.3")

    assert np.abs(studio.listen(path)).max() < 0.01
    assert len(studio.listen(path)) == pytest.approx(2 * 48000, abs=1100)


async def test_the_sound_filter_of_the_settings_is_used(tmp_path: Path, studio: Studio):
    film = studio.clip("upright.mp4", "testsrc2=size=162x288:rate=30", seconds=2, sound=TONE)

    stage = Stage(tmp_path, ffmpeg_audio_filter="loudnorm=I=-23:TP=-2:LRA=7")

    _, path = await make(stage, film)

    assert (await measure(stage.ffmpeg, path)).integrated == pytest.approx(-23, abs=0.5)


def test_filters_that_could_read_files_are_refused():
    with pytest.raises(BadParams, match="'amovie' is not allowed"):
        validate_params({"video": "a.mp4", "audio_filter": "amovie=/etc/passwd"}, finish.params)


async def test_a_picture_or_a_sound_is_not_a_film(stage: Stage, studio: Studio):
    for path in (studio.still("still.png"), studio.sound("tone.wav", TONE)):
        with pytest.raises(BadParams, match="not a film"):
            await make(stage, path)


async def test_a_film_that_breaks_off_is_told(stage: Stage, studio: Studio, tmp_path: Path):
    whole = studio.make(
        "front.mp4", "-i", str(studio.clip("long.mp4", seconds=3)), "-c", "copy", "-movflags", "+faststart"
    )
    torn = tmp_path / "torn.mp4"
    torn.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])

    with pytest.raises(MediaFailed, match="damaged or incomplete"):
        await make(stage, torn, width=90)
