"""Caption: what is said in a file, as subtitles."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, Field, field_validator, model_validator

from callsheet.domain.artifacts import Artifact
from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.speech.audio_extract import extract_speech
from callsheet.media.speech.contract import Task, Transcript, TranscriptionRequest, Word
from callsheet.media.speech.engines import ENGINES, find_engine
from callsheet.media.subtitles import subtitle_writers
from callsheet.media.subtitles.cue_segmentation import Cue, ReadingLimits, segment_cues
from callsheet.media.subtitles.line_breaks import join
from callsheet.media.subtitles.style import TextStyle
from callsheet.operation.contract import Context, operation
from callsheet.operations.media_inputs import read_media
from callsheet.operations.transcription_cache import transcribe_cached

Format = Literal["srt", "vtt", "ass", "json"]

_WITHOUT_PICTURE = (1920, 1080)
_MEDIA_TYPES: dict[Format, str] = {
    "srt": "application/x-subrip",
    "vtt": "text/vtt",
    "ass": "text/x-ssa",
    "json": "application/json",
}


def _usual_formats() -> list[Format]:
    return ["srt", "vtt"]


class CaptionParams(Model):
    """What is to be written down, and how it is to be read."""

    src: MediaSource = Field(
        validation_alias=AliasChoices(
            *("src", "source", "path", "url", "video", "video_path", "videoPath"),
            *("audio", "audio_path", "audioPath"),
        ),
        description="A video with sound, or sound alone",
    )
    language: str = Field(
        "auto",
        pattern=r"^(auto|[a-z]{2,3})$",
        description="Of the speech, as a code such as `en`, `de` or `pt-BR`; auto: whichever is heard",
    )
    task: Task = Field("transcribe", description="transcribe: in the language of the speech; translate: in English")
    model: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
        description="tiny, base, small, medium, large-v3, turbo…: larger ones hear better and take longer. "
        "Unset: that of the settings",
    )
    engine: str = Field("faster-whisper", description="What listens", json_schema_extra={"enum": list(ENGINES)})
    formats: list[Format] = Field(
        default_factory=_usual_formats,
        min_length=1,
        validation_alias=AliasChoices("formats", "format", "output_format", "outputFormat"),
        description="Files to write: srt and vtt for players, ass with its looks for burning in, json for programs. "
        "Unset: srt and vtt",
    )
    max_chars_per_line: int = Field(
        42, ge=8, le=120, description="Full-width characters count as two; a longer word has a line of its own"
    )
    max_lines: int = Field(2, ge=1, le=3)
    min_duration: float = Field(1.0, ge=0.1, le=10, description="Seconds, where the next caption leaves the time")
    max_duration: float = Field(7.0, ge=0.5, le=30, description="Seconds")
    reading_speed: float = Field(17.0, ge=5, le=60, description="Characters per second that people can read")
    style: TextStyle = Field(
        default_factory=lambda: TextStyle.model_validate({}),
        description="Looks of the ass file. With an effect, words are followed as they are spoken, and the vtt file "
        "tells when that is",
    )
    words: bool = Field(False, description="List every word with its times in the result, too")

    @field_validator("language", mode="before")
    @classmethod
    def _without_country(cls, value: Any) -> Any:
        return value.strip().replace("_", "-").partition("-")[0].lower() if isinstance(value, str) else value

    @field_validator("formats", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("engine")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in ENGINES:
            raise ValueError(f"unknown engine '{value}'; allowed: {', '.join(ENGINES)}")
        return value

    @model_validator(mode="after")
    def _durations_in_order(self) -> "CaptionParams":
        if self.min_duration > self.max_duration:
            raise ValueError(f"minDuration {self.min_duration:g} is above maxDuration {self.max_duration:g}")
        return self

    @property
    def reading(self) -> ReadingLimits:
        """How the captions are to be read."""
        return ReadingLimits(
            characters=self.max_chars_per_line,
            lines=self.max_lines,
            least=self.min_duration,
            most=self.max_duration,
            speed=self.reading_speed,
        )


class SpokenWord(Model):
    """One word as it was said."""

    text: str
    start: float = Field(description="Seconds")
    end: float
    probability: float = Field(description="How sure the engine is of it, from 0 to 1")


class CaptionResult(Model):
    """What was said."""

    srt: Artifact | None = Field(None, description="Where it was asked for, as are the other files")
    vtt: Artifact | None = None
    ass: Artifact | None = None
    transcript: Artifact | None = Field(None, description="The json file: language, text, captions and words")
    text: str = Field(description="All that was said, in one line")
    language: str | None = Field(None, description="That of the speech; none when nobody speaks")
    language_probability: float | None = Field(None, description="None where the language was told")
    duration: float = Field(description="Seconds of sound that were heard")
    cues: int = Field(description="How many captions there are")
    words: list[SpokenWord] | None = None
    notes: list[str] = Field(default_factory=list, description="What was done otherwise than expected, and why")


@operation(
    "caption",
    queue="caption",
    priority=6,
    timeout=timedelta(minutes=15),
    needs={"ffmpeg", "speech"},
    aliases=("caption_task", "caption_video_task"),
)
async def caption(job: Context, params: CaptionParams) -> CaptionResult:
    """Write down what is said in a file, as subtitles with their times."""
    engine = find_engine(params.engine)
    source = await read_media(job, params.src, "src", "audio")
    sound = job.dir / "speech.wav"
    seconds = await extract_speech(job.ffmpeg, source, sound, on_progress=_part_of(job, 0.0, 0.1, "taking the sound"))
    wish = TranscriptionRequest(
        audio=sound,
        model=params.model or job.settings.caption_model,
        language=None if params.language == "auto" else params.language,
        task=params.task,
    )
    heard = await transcribe_cached(job, engine, wish, _part_of(job, 0.1, 0.97, "listening"))
    await asyncio.to_thread(sound.unlink)
    cues = await asyncio.to_thread(segment_cues, heard.words, params.reading, until=max(seconds, source.length))
    files = await asyncio.to_thread(_write, job.dir, params, source, heard, cues)
    kept = {name: await job.keep(path, name=path.name, media_type=_MEDIA_TYPES[name]) for name, path in files.items()}
    return CaptionResult(
        srt=kept.get("srt"),
        vtt=kept.get("vtt"),
        ass=kept.get("ass"),
        transcript=kept.get("json"),
        text=join(heard.words),
        language=heard.language,
        language_probability=heard.language_probability,
        duration=round(seconds, 3),
        cues=len(cues),
        words=_spoken(heard.words) if params.words else None,
        notes=[*heard.notes, *([] if heard.words else ["nobody speaks, so the captions are empty"])],
    )


def _part_of(job: Context, start: float, end: float, message: str) -> Callable[[float], None]:
    return lambda share: job.progress(start + share * (end - start), message)


def _write(
    folder: Path, params: CaptionParams, source: MediaInfo, heard: Transcript, cues: list[Cue]
) -> dict[Format, Path]:
    """Write the files asked for, each once, and return where they are."""
    files: dict[Format, Path] = {}
    for name in params.formats:
        path = files[name] = folder / f"captions.{name}"
        path.write_text(_contents(name, params, source, heard, cues), encoding="utf-8")
    return files


def _contents(name: Format, params: CaptionParams, source: MediaInfo, heard: Transcript, cues: list[Cue]) -> str:
    if name == "srt":
        return subtitle_writers.srt(cues)
    if name == "vtt":
        return subtitle_writers.vtt(cues, word_times=params.style.effect != "none")
    if name == "ass":
        width, height = source.probe.width, source.probe.height
        if width is None or height is None:
            width, height = _WITHOUT_PICTURE
        return subtitle_writers.ass(cues, params.style, width=width, height=height)
    return json.dumps(_transcript(heard, cues), ensure_ascii=False, indent=1) + "\n"


def _transcript(heard: Transcript, cues: list[Cue]) -> dict[str, Any]:
    return {
        "language": heard.language,
        "languageProbability": heard.language_probability,
        "text": join(heard.words),
        "cues": [{"start": cue.start, "end": cue.end, "lines": cue.text.split("\n")} for cue in cues],
        "words": [word.model_dump() for word in _spoken(heard.words)],
    }


def _spoken(words: list[Word]) -> list[SpokenWord]:
    return [
        SpokenWord(
            text=word.text, start=round(word.start, 3), end=round(word.end, 3), probability=round(word.probability, 3)
        )
        for word in words
    ]
