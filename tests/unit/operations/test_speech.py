"""The `speech` operation with the real engine hibari."""

import asyncio
import re
import wave
from pathlib import Path

import psutil
import pytest
from media.voice import speech_models

from callsheet.domain.errors import BadParams, ConfigurationError
from callsheet.domain.plan_validation import validate_params
from callsheet.media.encoding import loudness
from callsheet.media.voice import hibari
from callsheet.media.voice.word_times import estimate_times
from callsheet.operation_api.catalog import Catalog
from callsheet.operation_api.requirements import missing_requirements
from callsheet.operations.caption import CaptionParams, caption
from callsheet.operations.speech import SpeechParams, SpeechResult, speech
from callsheet.operations.speech_alignment import recognize_times
from callsheet.settings import Settings
from callsheet.testing.context import RecordingContext
from operations.test_caption import word_errors, words_of

HARBOR = "Dawn breaks over the quiet harbor. Dr. Smith counts 12 boats, as she does every morning."
NIGHT = "At night, the lamps are lit."


@pytest.fixture
def job(tmp_path: Path) -> RecordingContext:
    return RecordingContext(tmp_path, operation="speech")


async def run(job: RecordingContext, **params: object) -> SpeechResult:
    return await speech.run(job, SpeechParams.model_validate(params))


def rms(path: Path, start: float, end: float) -> float:
    with wave.open(str(path), "rb") as file:
        rate = file.getframerate()
        file.setpos(round(start * rate))
        frames = file.readframes(round((end - start) * rate))
    samples = memoryview(frames).cast("h")
    return (sum(sample * sample for sample in samples) / max(1, len(samples))) ** 0.5


def times_of_unique_words(words: list) -> dict[str, float]:
    """Return the start of every word that occurs once."""
    keys = [re.sub(r"\W", "", word.text).lower() for word in words]
    return {key: word.start for key, word in zip(keys, words, strict=True) if keys.count(key) == 1}


async def test_a_text_is_spoken_at_its_loudness_and_sample_rate_with_exact_pauses(job):
    result = await run(
        job,
        text=f"{HARBOR}\n\n{NIGHT}",
        loudness=-20,
        sampleRate=44_100,
        sentencePause=400,
        paragraphPause=900,
    )

    path = job.path_of(result.audio)
    first, second, third = result.sentences
    assert (result.engine, result.sample_rate, result.notes) == ("hibari", 44_100, [])
    assert result.audio.probe.audio_codec == "pcm_s16le"
    assert result.audio.probe.audio_channels == 1
    assert result.duration == pytest.approx(result.audio.probe.duration, abs=0.002)
    assert (await loudness.measure(job.ffmpeg, path)).integrated == pytest.approx(-20, abs=0.3)
    assert result.loudness == pytest.approx(-20, abs=0.3)
    assert [first.text, third.text] == ["Dawn breaks over the quiet harbor.", NIGHT]
    assert second.start - first.end == pytest.approx(0.4, abs=0.001)
    assert third.start - second.end == pytest.approx(0.9, abs=0.001)
    assert [paragraph.start for paragraph in result.paragraphs] == [0, third.start]
    assert sum(paragraph.duration for paragraph in result.paragraphs) == pytest.approx(result.duration, abs=0.002)
    captions = job.path_of(result.vtt).read_text("utf-8")
    assert captions.startswith("WEBVTT") and "quiet <" in captions and "harbor." in captions
    assert rms(path, first.end + 0.05, second.start - 0.05) < 5
    assert rms(path, second.end + 0.05, third.start - 0.05) < 5
    assert rms(path, third.start + 0.2, third.end - 0.2) > 500
    assert job.progress_reports[-1].done <= 1


async def test_words_have_the_times_at_which_they_are_recognized(job, tmp_path):
    models = tmp_path / "models"
    models.mkdir()
    result = await run(job, text=f"{HARBOR} {NIGHT}")
    settings = Settings(_env_file=None, data_dir=tmp_path, speech_models=speech_models(models), caption_model="tiny.en")
    listener = RecordingContext(tmp_path / "listener", operation="caption", settings=settings)

    source = {"src": str(job.path_of(result.audio)), "words": True}
    recognized = await caption.run(listener, CaptionParams.model_validate(source))

    estimated = estimate_times(f"{HARBOR} {NIGHT}", 0, result.duration)
    aligned, timing, notes = await recognize_times(listener, job.path_of(result.audio), estimated)

    assert (timing, notes) == ("aligned", [])
    assert [word.text for word in aligned] == [word.text for word in result.words]
    off = sorted(abs(a.start - b.start) for a, b in zip(aligned, result.words, strict=True))
    assert off[len(off) // 2] < 0.12
    assert result.timing == "engine"
    assert [word.text for word in result.words] == f"{HARBOR} {NIGHT}".split()
    assert all(word.start < word.end for word in result.words)
    assert all(a.end <= b.start for a, b in zip(result.words, result.words[1:], strict=False))
    assert word_errors(words_of(recognized.text), words_of(f"{HARBOR} {NIGHT}")) <= 1
    ours, theirs = times_of_unique_words(result.words), times_of_unique_words(recognized.words)
    off = [abs(ours[word] - theirs[word]) for word in ours.keys() & theirs.keys()]
    assert len(off) >= 12
    assert sorted(off)[len(off) // 2] < 0.12
    assert max(off) < 0.6


async def test_equal_seeds_produce_equal_audio_and_speed_changes_the_length(tmp_path):
    async def speak(speed: float) -> list[bytes]:
        files = await hibari.synthesize([NIGHT, NIGHT], tmp_path, speed=speed, seed=7, on_progress=lambda _: None)
        return [file.path.read_bytes() for file in files]

    first, again, fast = [await speak(1), await speak(1), await speak(2)]

    assert first == again
    assert first[0] != first[1]  # each sentence has a seed of its own
    assert len(fast[0]) == pytest.approx(len(first[0]) / 2, rel=0.2)


async def test_numbers_symbols_and_endless_words_are_spoken(tmp_path):
    texts = [
        "1,250 people paid $9.99 at 7:30 p.m.",
        "9" * 60,
        "supercalifragilistic" * 11,
        "☃ 5€ élan naïve",
        "A, " * 80,
    ]

    files = await hibari.synthesize(texts, tmp_path, speed=1, seed=0, on_progress=lambda _: None)

    assert [[word.text for word in file.words] for file in files] == [
        texts[0].split(),
        [texts[1]],
        [texts[2]],
        ["5€", "élan", "naïve"],
        texts[4].split(),
    ]
    assert all(0.5 < file.words[-1].end <= (file.path.stat().st_size - 44) / 48_000 for file in files)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"text": " … \n"}, "no letter and no digit"),
        ({"text": ""}, "at least 1 character"),
        ({"text": "a" * 50_001}, "at most 50000 characters"),
        ({"text": "Guten Morgen, 世界"}, "hibari speaks English only, and the text contains '世界'"),
        ({"text": "Hi.", "voice": "./me.wav", "engine": "hibari"}, "takes no reference"),
        ({"text": "Hi.", "engine": "f5-tts"}, "f5-tts needs a reference"),
        ({"text": "Hi. " * 501, "voice": "./me.wav"}, "has 501 sentences; f5-tts takes at most 500"),
        ({"text": "Hi.", "speed": 3}, "less than or equal to 2"),
        ({"text": "Hi.", "sampleRate": 4000}, "greater than or equal to 8000"),
        ({"text": "Hi.", "loudness": 5}, "loudness"),
        ({"text": "Hi.", "engine": "espeak"}, "'hibari' or 'f5-tts'"),
    ],
)
def test_invalid_params_are_rejected_at_submission(params, message):
    with pytest.raises(BadParams) as refused:
        validate_params(params, SpeechParams)

    assert message in str([problem.message for problem in refused.value.problems])


async def test_a_sentence_without_english_sounds_is_named(tmp_path):
    with pytest.raises(BadParams) as refused:
        await hibari.synthesize(["Hello.", "你"], tmp_path, speed=1, seed=0, on_progress=lambda _: None)

    assert refused.value.problems[0].message == "hibari-tts, which speaks English, has no sounds for '你'"


async def test_a_cancelled_job_leaves_no_process_behind(job):
    running = asyncio.create_task(run(job, text="A long story about the sea. " * 400))
    while not any(report.done > 0 for report in job.progress_reports):
        await asyncio.sleep(0.01)
        assert not running.done()

    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
    assert not [child for child in psutil.Process().children(recursive=True) if "synthesizer" in str(child.cmdline())]


async def test_a_worker_without_the_extra_does_not_take_the_job(job, monkeypatch, tmp_path):
    monkeypatch.setattr(hibari, "installed", lambda: False)

    missing = missing_requirements(Catalog([speech]), Settings(_env_file=None, data_dir=tmp_path))

    assert missing == {"speech": {"voice": "No speech synthesis is installed; run pip install 'callsheet[speech]'"}}
    with pytest.raises(ConfigurationError, match=re.escape("pip install 'callsheet[speech]'")):
        await run(job, text=NIGHT)
