"""The example `edit.yaml`, rendered at a small size."""

from pathlib import Path

import numpy as np
import pytest
from media.studio import FakeContext, Studio

from callsheet.domain.media_source import MediaSource
from callsheet.domain.plan_parsing import read_plan_text
from callsheet.domain.plan_validation import validate_params
from callsheet.media.encoding.loudness import measure
from callsheet.operations.render import render

EXAMPLE = Path(__file__).parents[3] / "examples" / "edit.yaml"


@pytest.fixture
def sources(studio: Studio) -> dict[str, Path]:
    """The source files of the example."""
    scene = "color=0x305080:size=108x192:rate=30"
    return {
        "./opening.mp4": studio.clip("opening.mp4", scene, seconds=4, sound="sine=frequency=500,volume=-20dB"),
        "./walk.mp4": studio.clip("walk.mp4", scene, seconds=4, sound="sine=frequency=5000"),
        "./speaker.mp4": studio.clip("speaker.mp4", "color=white:size=160x90:rate=25", seconds=4),
        "./map.png": studio.still("map.png", "color=0x204020:size=200x300"),
        "./logo.png": studio.still("logo.png", "color=white:size=32x32"),
        "./voice.wav": studio.sound("voice.wav", "sine=frequency=1000", seconds=3),
        "./music.mp3": studio.sound("music.wav", "sine=frequency=250,volume=-6dB", seconds=2),
    }


async def test_the_edit_example_renders_the_described_video(
    tmp_path: Path, studio: Studio, sources: dict[str, Path], monkeypatch: pytest.MonkeyPatch
):
    stage = FakeContext(tmp_path)

    async def fetch_input(source: MediaSource) -> Path:
        return sources[str(source.root)]

    monkeypatch.setattr(stage, "fetch_input", fetch_input)
    params = read_plan_text(EXAMPLE.read_bytes(), max_bytes=1 << 20)["jobs"][0]["params"]
    params["output"] |= {"width": 108, "height": 192}
    params["tracks"][0]["clips"][0] |= {"width": 40, "height": 40}

    result = await render.run(stage, validate_params(params, render.params))

    video = stage.kept[0]
    frames, audio = studio.gray_frames(video, size=(108, 192)), studio.audio_samples(video)[:, 0]
    assert (len(frames), result.duration, result.segments, result.notes) == (363, pytest.approx(12.1), 7, [])
    assert all(frame[14:22, 90:98].mean() > 180 for frame in frames[15:]), "the logo is visible to the end"
    speaker = [n for n, frame in enumerate(frames) if frame[20:40, 15:35].mean() > 240]
    assert (speaker[0], speaker[-1]) == (pytest.approx(99, abs=1), pytest.approx(186, abs=1))
    assert frames[120][130:150].max() > 200, "the captions are visible"
    # The voice ducks the music; the walk is muted.
    music, voice, walk = (pitch(audio, hertz) for hertz in (250, 1000, 5000))
    assert music[4] < music[9] / 2
    assert voice[4] > 10 * voice[9]
    assert walk.max() < voice[4] / 50
    assert (await measure(stage.ffmpeg, video)).integrated == pytest.approx(-16, abs=0.5)


def pitch(audio: np.ndarray, hertz: int) -> np.ndarray:
    """The level of a pitch in each second."""
    seconds = audio[: len(audio) // 48_000 * 48_000].reshape(-1, 48_000)
    return np.abs(np.fft.rfft(seconds, axis=1))[:, hertz]
