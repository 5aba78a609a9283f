"""The `caption` operation, with synthetic speech and real Whisper models."""

import asyncio
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from media.studio import Studio
from media.voice import Spoken, Voice, speech_models

from callsheet.domain.errors import BadParams, ConfigurationError, Transient
from callsheet.domain.plan_validation import validate_params
from callsheet.media.speech.faster_whisper import FasterWhisper
from callsheet.media.subtitles.subtitle_parsers import is_ass, read_captions
from callsheet.operation_api.catalog import Catalog
from callsheet.operation_api.requirements import runnable_operations
from callsheet.operations.caption import CaptionParams, CaptionResult, caption
from callsheet.settings import Settings
from callsheet.testing.context import RecordingContext

FOX = "The quick brown fox jumps over the lazy dog."
SCENE = "We are filming the second scene on Monday morning, if the weather is good."
COFFEE = "Please bring your own coffee."


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Voice:
    return Voice(tmp_path_factory.mktemp("voice"))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("models")
    yield speech_models(folder)
    shutil.rmtree(folder)  # too large to be left in the temporary folder


@pytest.fixture
def job(tmp_path: Path, models: Path) -> RecordingContext:
    settings = Settings(_env_file=None, data_dir=tmp_path, speech_models=models, caption_model="tiny.en")
    return RecordingContext(tmp_path, operation="caption", settings=settings)


async def run(job: RecordingContext, src: Path, **params: object) -> CaptionResult:
    return await caption.run(job, CaptionParams.model_validate({"src": str(src), **params}))


def words_of(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())


def word_errors(recognized: list[str], expected: list[str]) -> int:
    """Return the number of missing, wrong and extra words: the edit distance."""
    row = list(range(len(expected) + 1))
    for number, word in enumerate(recognized, 1):
        last, row[0] = row[0], number
        for at, other in enumerate(expected, 1):
            last, row[at] = row[at], min(row[at] + 1, row[at - 1] + 1, last + (word != other))
    return row[-1]


def assert_times_match(shown: list, spoken: list[Spoken]) -> None:
    assert [round(caption.start - line.start, 1) for caption, line in zip(shown, spoken, strict=True)] == pytest.approx(
        [0] * len(spoken), abs=0.3
    )
    assert all(caption.end >= line.end - 0.3 for caption, line in zip(shown, spoken, strict=True))


async def test_speech_is_transcribed_with_its_times(job, studio: Studio, voice: Voice):
    sound, said = voice.say("lines.wav", {1.0: FOX, 6.0: SCENE, 13.0: COFFEE}, seconds=16)
    picture = ["-f", "lavfi", "-i", "testsrc2=size=90x160:rate=5:duration=16", "-i", str(sound)]
    film = studio.make("talk.mp4", *picture, "-preset", "ultrafast", "-c:a", "aac", "-shortest")

    result = await run(job, film, formats=["srt", "vtt", "ass", "json"], words=True, style={"effect": "karaoke"})

    expected = words_of(f"{FOX} {SCENE} {COFFEE}")
    assert word_errors(words_of(result.text), expected) <= len(expected) * 0.05
    assert (result.language, result.cues, result.notes) == ("en", 3, [])
    assert result.duration == pytest.approx(16, abs=0.2)
    for artifact in (result.srt, result.vtt):
        shown = read_captions(job.path_of(artifact)).captions
        assert_times_match(shown, said)
    assert [line.text.lower() for line in shown][2] == COFFEE.lower()
    script = job.path_of(result.ass)
    assert is_ass(script)
    assert "PlayResX: 90\nPlayResY: 160" in script.read_text()
    assert script.read_text().count(r"\kf") == len(result.words)
    transcript = json.loads(job.path_of(result.transcript).read_text())
    assert transcript["words"] == [word.model_dump() for word in result.words]
    assert [word.text for word in result.words] == result.text.split()
    assert all(a.start <= b.start for a, b in zip(result.words, result.words[1:], strict=False))
    assert [artifact.media_type for artifact in job.kept] == [
        *("application/x-subrip", "text/vtt", "text/x-ssa", "application/json"),
    ]
    shares = [report.done for report in job.progress_reports]
    assert shares == sorted(shares) and any(0.1 < share < 0.9 for share in shares)


async def test_a_late_audio_start_keeps_its_times_and_a_center_channel_is_transcribed(job, studio, voice):
    sound, said = voice.say("coffee.wav", {1.0: COFFEE}, seconds=3.5)
    picture = ["-f", "lavfi", "-i", "testsrc2=size=64x64:rate=5:duration=6", "-itsoffset", "2", "-i", str(sound)]
    surround = ["-af", "pan=5.1|FC=c0", "-preset", "ultrafast", "-c:a", "aac", "-ac", "6"]
    film = studio.make("it's 50% \U0001f3ac:late.mkv", *picture, *surround)

    result = await run(job, film, format="vtt")

    assert result.srt is None
    (shown,) = read_captions(job.path_of(result.vtt)).captions
    assert shown.text == COFFEE
    assert shown.start == pytest.approx(said[0].start + 2, abs=0.3)


async def test_a_cached_transcript_is_not_transcribed_again(job, voice, tmp_path):
    sound, _ = voice.say("coffee.wav", {1.0: COFFEE}, seconds=3.5)
    again = RecordingContext(tmp_path, operation="caption", settings=job.settings)

    first = await run(job, sound, words=True)
    second = await run(again, sound, words=True, max_chars_per_line=16)

    assert any(report.message == "transcribing" for report in job.progress_reports)
    assert not any(report.message == "transcribing" for report in again.progress_reports)
    assert second.words == first.words and second.language == first.language
    assert [caption.text for caption in read_captions(again.path_of(second.srt)).captions] == [
        "Please bring\\Nyour own coffee."
    ]


async def test_the_language_is_detected(job, voice):
    sound, _ = voice.say("fox.wav", {0.5: FOX}, seconds=4)

    result = await run(job, sound, model="base")

    assert result.language == "en"
    assert 0.8 < result.language_probability <= 1
    assert word_errors(words_of(result.text), words_of(FOX)) <= 1


async def test_without_speech_the_files_are_empty_but_valid(job, studio):
    tone = studio.sound("tone.wav", "sine=frequency=330:duration=2,apad=pad_dur=4", seconds=6)

    result = await run(job, tone, formats=["srt", "vtt", "ass"])

    assert (result.cues, result.text, result.language, result.language_probability) == (0, "", None, None)
    assert result.notes == ["no speech was found, so the captions are empty"]
    assert job.path_of(result.srt).read_text() == ""
    assert job.path_of(result.vtt).read_text() == "WEBVTT\n"
    assert is_ass(job.path_of(result.ass))


async def test_a_video_without_audio_is_rejected(job, studio):
    with pytest.raises(BadParams, match="src: there is no audio in this file"):
        await run(job, studio.clip("mute.mp4"))


async def test_a_cancelled_job_leaves_no_process_behind(tmp_path, models, voice):
    class CancellableContext(RecordingContext):
        transcribing = asyncio.Event()

        def progress(self, done: float, message: str | None = None) -> None:
            if message == "transcribing":
                self.transcribing.set()

    sound, _ = voice.say("lines.wav", {1.0: FOX, 6.0: SCENE, 13.0: COFFEE}, seconds=16)
    job = CancellableContext(tmp_path, settings=Settings(_env_file=None, data_dir=tmp_path, speech_models=models))
    working = asyncio.create_task(run(job, sound, model="tiny.en"))
    await asyncio.wait_for(job.transcribing.wait(), 60)
    children = [child for child in psutil.Process().children() if "transcriber.py" in " ".join(child.cmdline())]

    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working

    assert len(children) == 1
    assert not children[0].is_running()


async def test_an_unsupported_language_or_model_is_reported(job, voice):
    sound, _ = voice.say("short.wav", {0.2: "Hello."}, seconds=2)

    with pytest.raises(BadParams, match=r"language: the model 'tiny\.en' does not support this: 'de' is not one of"):
        await run(job, sound, language="de-AT")
    with pytest.raises(
        BadParams, match=r"model: 'huge' is not in CALLSHEET_SPEECH_MODELS, which contains base, tiny\.en"
    ):
        await run(job, sound, model="huge")


async def test_a_missing_model_that_cannot_be_downloaded_is_reported(job, voice, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(job.dir))
    sound, _ = voice.say("short.wav", {0.2: "Hello."}, seconds=2)

    with pytest.raises(
        Transient, match="the model 'small' is not in CALLSHEET_SPEECH_MODELS, which contains base, tiny"
    ):
        await run(job, sound, model="small")


async def test_settings_may_name_a_model_folder_and_an_empty_folder_is_an_error(tmp_path, models, voice):
    sound, _ = voice.say("short.wav", {0.2: "Hello."}, seconds=2)
    settings = Settings(_env_file=None, data_dir=tmp_path, caption_model=str(models / "tiny.en"))
    (tmp_path / "empty").mkdir()
    wrong = settings.model_copy(update={"caption_model": str(tmp_path / "empty")})

    result = await run(RecordingContext(tmp_path / "one", settings=settings), sound)
    with pytest.raises(
        ConfigurationError, match=r"CALLSHEET_CAPTION_MODEL is '.*empty', but this folder contains no model"
    ):
        await run(RecordingContext(tmp_path / "two", settings=wrong), sound)

    assert words_of(result.text) == ["hello"]


async def test_without_the_engine_other_workers_run_the_job_and_the_error_names_the_install_command(
    job, studio, monkeypatch
):
    monkeypatch.setattr(FasterWhisper, "installed", lambda self: False)

    assert "caption" not in runnable_operations(Catalog([caption]), job.settings)
    with pytest.raises(ConfigurationError, match=re.escape("pip install 'callsheet[captions]'")):
        await run(job, studio.sound("tone.wav", "sine", seconds=1))


def test_an_installed_engine_meets_the_requirement(job):
    assert "caption" in runnable_operations(Catalog([caption]), job.settings)


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"language": "klingon"}, "language"),
        ({"model": "../../etc"}, "model"),
        ({"model": "/models/base"}, "model"),
        ({"model": "someone/model"}, "model"),
        ({"engine": "vosk"}, "unknown engine 'vosk'; allowed: faster-whisper"),
        ({"formats": ["sub"]}, "formats"),
        ({"formats": []}, "formats"),
        ({"min_duration": 3, "max_duration": 2}, "minDuration 3 is above maxDuration 2"),
        ({"max_chars_per_line": 4}, "max_chars_per_line: input should be greater than or equal to 8"),
        ({"task": "summarise"}, "task"),
    ],
)
def test_invalid_params_are_rejected(params, says):
    with pytest.raises(BadParams) as rejected:
        validate_params({"src": "talk.mp4", **params}, CaptionParams)
    assert says in str(rejected.value)


def test_the_country_of_a_language_is_ignored():
    assert CaptionParams.model_validate({"src": "a.mp4", "language": "pt-BR"}).language == "pt"
