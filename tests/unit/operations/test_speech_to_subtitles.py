"""The chain of text, voice, recognized words, burned-in subtitles, and the text that is read in the frames."""

import re
import shutil
from pathlib import Path

import pytest
from media.voice import speech_models
from rapidocr import RapidOCR

from callsheet.media.subtitles.subtitle_parsers import read_captions
from callsheet.operations.caption import CaptionParams, caption
from callsheet.operations.render import RenderParams, render
from callsheet.operations.speech import SpeechParams, speech
from callsheet.settings import Settings
from callsheet.testing.context import RecordingContext
from operations.test_caption import word_errors, words_of

TEXT = "The boat leaves the harbor at noon. Please bring your own coffee."


@pytest.fixture
def job(tmp_path: Path):
    models = tmp_path / "models"
    models.mkdir()
    settings = Settings(_env_file=None, data_dir=tmp_path, speech_models=speech_models(models), caption_model="tiny.en")
    yield RecordingContext(tmp_path / "job", settings=settings)
    shutil.rmtree(models)  # too large to be left in the temporary folder


async def test_a_spoken_text_is_recognized_burned_in_and_read_in_the_frames(job, tmp_path):
    spoken = await speech.run(job, SpeechParams.model_validate({"text": TEXT, "seed": 0}))
    voice = str(job.path_of(spoken.audio))
    words = await caption.run(
        job,
        CaptionParams.model_validate(
            {"src": voice, "formats": ["srt"], "language": "en", "words": True, "maxLines": 1}
        ),
    )
    subtitles = job.path_of(words.srt)
    film = await render.run(
        job,
        RenderParams.model_validate(
            {
                "output": {"width": 640, "height": 360, "fps": 10},
                "scenes": [{"color": "black", "duration": spoken.duration}],
                "audioClips": [{"src": voice}],
                "captions": {"src": str(subtitles), "style": {"background": "#000000"}},
                "loudness": False,
            }
        ),
    )

    assert words_of(words.text) == words_of(TEXT)
    cues, reader = read_captions(subtitles).captions, RapidOCR()
    assert len(cues) == 2
    for cue, sentence in zip(cues, spoken.sentences, strict=True):
        assert cue.start == pytest.approx(sentence.start, abs=0.35)
        seen = await text_in_frame(
            job, reader, job.path_of(film.video), (cue.start + cue.end) / 2, tmp_path / "frame.png"
        )
        assert word_errors(re.findall("[a-z]+", seen), words_of(sentence.text)) <= 1


async def text_in_frame(job: RecordingContext, reader: RapidOCR, video: Path, time: float, picture: Path) -> str:
    """Return the text that OCR reads in the frame at a time, in lower case."""
    await job.ffmpeg.run(["-ss", f"{time:.3f}", "-i", str(video), "-frames:v", "1", "-update", "1", str(picture)])
    return " ".join(reader(str(picture)).txts or ()).lower()
