"""Operation `caption`: transcribe speech and write subtitles."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, field_validator, model_validator

from callsheet.domain.artifacts import Artifact
from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.domain.text_form import TextForm
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.speech.audio_extract import extract_speech
from callsheet.media.speech.contract import Task, Transcript, TranscriptionRequest, Word
from callsheet.media.speech.engines import ENGINES, find_engine
from callsheet.media.subtitles import subtitle_writers
from callsheet.media.subtitles.cue_segmentation import Cue, ReadingLimits, segment_cues
from callsheet.media.subtitles.line_breaks import join_words
from callsheet.media.subtitles.style import TextStyle
from callsheet.media.values import Strict
from callsheet.operation_api.contract import Context, operation
from callsheet.operations.media_inputs import read_media
from callsheet.operations.transcription_cache import transcribe_cached

Format = Literal["srt", "vtt", "ass", "json"]

_AUDIO_ONLY_FRAME_SIZE = (1920, 1080)
_MEDIA_TYPES: dict[Format, str] = {
    "srt": "application/x-subrip",
    "vtt": "text/vtt",
    "ass": "text/x-ssa",
    "json": "application/json",
}


def _default_formats() -> list[Format]:
    return ["srt", "vtt"]


class CaptionParams(Model):
    """Parameters of the transcription and the subtitle files."""

    src: MediaSource = Field(
        validation_alias=AliasChoices(
            *("src", "source", "path", "url", "video", "video_path", "videoPath"),
            *("audio", "audio_path", "audioPath"),
        ),
        description="A video with audio, or an audio file",
    )
    language: Annotated[str, TextForm(r"^(auto|[a-z]{2,3})$", "auto, or a language code such as en")] = Field(
        "auto",
        description="Language of the speech, as a code such as `en`, `de` or `pt-BR`; auto: detect it",
    )
    task: Task = Field("transcribe", description="transcribe: write the spoken language; translate: write English")
    model: (
        Annotated[str, TextForm(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", "the name of a model, such as small")] | None
    ) = Field(
        None,
        description="tiny, base, small, medium, large-v3, turbo…: larger models are more accurate and slower. "
        "Default: the model of the settings",
    )
    engine: str = Field(
        "faster-whisper", description="Speech recognition engine", json_schema_extra={"enum": list(ENGINES)}
    )
    formats: list[Format] = Field(
        default_factory=_default_formats,
        min_length=1,
        validation_alias=AliasChoices("formats", "format", "output_format", "outputFormat"),
        description="Files to write: srt and vtt for players, ass with styles for burning in, json for programs. "
        "Default: srt and vtt",
    )
    max_chars_per_line: int = Field(
        42, ge=8, le=120, description="Full-width characters count as two; a longer word has its own line"
    )
    max_lines: int = Field(2, ge=1, le=3)
    min_duration: float = Field(1.0, ge=0.1, le=10, description="Seconds, unless the next caption begins earlier")
    max_duration: float = Field(7.0, ge=0.5, le=30, description="Seconds")
    reading_speed: float = Field(17.0, ge=5, le=60, description="Characters per second")
    style: TextStyle = Field(
        default_factory=lambda: TextStyle.model_validate({}),
        description="Style of the ass file. With an effect, the ass file highlights words as they are spoken, and the "
        "vtt file contains word timestamps",
    )
    words: bool = Field(False, description="Include every word with its times in the result")
    strict: Strict = False

    @field_validator("language", mode="before")
    @classmethod
    def _drop_country(cls, value: Any) -> Any:
        return value.strip().replace("_", "-").partition("-")[0].lower() if isinstance(value, str) else value

    @field_validator("formats", mode="before")
    @classmethod
    def _as_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("engine")
    @classmethod
    def _check_engine(cls, value: str) -> str:
        if value not in ENGINES:
            raise ValueError(f"unknown engine '{value}'; allowed: {', '.join(ENGINES)}")
        return value

    @model_validator(mode="after")
    def _check_durations(self) -> "CaptionParams":
        if self.min_duration > self.max_duration:
            raise ValueError(f"minDuration {self.min_duration:g} is above maxDuration {self.max_duration:g}")
        return self

    @property
    def reading_limits(self) -> ReadingLimits:
        """Limits for the cue segmentation."""
        return ReadingLimits(
            max_chars_per_line=self.max_chars_per_line,
            max_lines=self.max_lines,
            min_duration=self.min_duration,
            max_duration=self.max_duration,
            reading_speed=self.reading_speed,
        )


class SpokenWord(Model):
    """One spoken word."""

    text: str
    start: float = Field(description="Seconds")
    end: float = Field(description="Seconds")
    probability: float = Field(description="Confidence of the engine, from 0 to 1")


class CaptionResult(Model):
    """Transcript and subtitle files."""

    srt: Artifact | None = Field(None, description="Set if the format was requested, like the other files")
    vtt: Artifact | None = None
    ass: Artifact | None = None
    transcript: Artifact | None = Field(None, description="The json file: language, text, cues and words")
    text: str = Field(description="The whole transcript, in one line")
    language: str | None = Field(None, description="Language of the speech; none without speech")
    language_probability: float | None = Field(None, description="None if the language was set")
    duration: float = Field(description="Duration of the audio, in seconds")
    cues: int = Field(description="Number of captions")
    words: list[SpokenWord] | None = None
    notes: list[str] = Field(default_factory=list, description="Deviations from the request, with the reason")


@operation(
    "caption",
    queue="caption",
    priority=6,
    timeout=timedelta(minutes=15),
    needs={"ffmpeg", "speech"},
    aliases=("caption_task", "caption_video_task"),
)
async def caption(job: Context, params: CaptionParams) -> CaptionResult:
    """Transcribe the speech of a file and write subtitles."""
    engine = find_engine(params.engine)
    source = await read_media(job, params.src, "src", "audio", strict=params.strict)
    audio = job.dir / "speech.wav"
    on_extract = _progress_range(job, 0.0, 0.1, "extracting audio")
    extracted = await extract_speech(job.ffmpeg, source, audio, on_progress=on_extract)
    request = TranscriptionRequest(
        audio=audio,
        model=params.model or job.settings.caption_model,
        language=None if params.language == "auto" else params.language,
        task=params.task,
    )
    transcript = await transcribe_cached(job, engine, request, _progress_range(job, 0.1, 0.97, "transcribing"))
    await asyncio.to_thread(audio.unlink)
    until = max(extracted.seconds, source.length)
    cues = await asyncio.to_thread(segment_cues, transcript.words, params.reading_limits, until=until)
    files = await asyncio.to_thread(_write_files, job.dir, params, source, transcript, cues)
    artifacts = {
        name: await job.keep(path, name=path.name, media_type=_MEDIA_TYPES[name]) for name, path in files.items()
    }
    return CaptionResult(
        srt=artifacts.get("srt"),
        vtt=artifacts.get("vtt"),
        ass=artifacts.get("ass"),
        transcript=artifacts.get("json"),
        text=join_words(transcript.words),
        language=transcript.language,
        language_probability=transcript.language_probability,
        duration=round(extracted.seconds, 3),
        cues=len(cues),
        words=_spoken_words(transcript.words) if params.words else None,
        notes=[
            *source.notes,
            *extracted.notes,
            *transcript.notes,
            *([] if transcript.words else ["no speech was found, so the captions are empty"]),
        ],
    )


def _progress_range(job: Context, start: float, end: float, message: str) -> Callable[[float], None]:
    return lambda share: job.progress(start + share * (end - start), message)


def _write_files(
    folder: Path, params: CaptionParams, source: MediaInfo, transcript: Transcript, cues: list[Cue]
) -> dict[Format, Path]:
    """Write the requested files, each once, and return their paths."""
    files: dict[Format, Path] = {}
    for name in params.formats:
        path = files[name] = folder / f"captions.{name}"
        path.write_text(_content(name, params, source, transcript, cues), encoding="utf-8")
    return files


def _content(name: Format, params: CaptionParams, source: MediaInfo, transcript: Transcript, cues: list[Cue]) -> str:
    if name == "srt":
        return subtitle_writers.srt(cues)
    if name == "vtt":
        return subtitle_writers.vtt(cues, word_times=params.style.effect != "none")
    if name == "ass":
        width, height = source.probe.width, source.probe.height
        if width is None or height is None:
            width, height = _AUDIO_ONLY_FRAME_SIZE
        return subtitle_writers.ass(cues, params.style, width=width, height=height)
    return json.dumps(_transcript_json(transcript, cues), ensure_ascii=False, indent=1) + "\n"


def _transcript_json(transcript: Transcript, cues: list[Cue]) -> dict[str, Any]:
    return {
        "language": transcript.language,
        "languageProbability": transcript.language_probability,
        "text": join_words(transcript.words),
        "cues": [{"start": cue.start, "end": cue.end, "lines": cue.text.split("\n")} for cue in cues],
        "words": [word.model_dump() for word in _spoken_words(transcript.words)],
    }


def _spoken_words(words: list[Word]) -> list[SpokenWord]:
    return [
        SpokenWord(
            text=word.text, start=round(word.start, 3), end=round(word.end, 3), probability=round(word.probability, 3)
        )
        for word in words
    ]
