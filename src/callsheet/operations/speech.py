"""Operation `speech`: speak a text."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AliasChoices, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import ConfigurationError
from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.media.encoding import loudness
from callsheet.media.ffmpeg.inputs import file_url, media_input
from callsheet.media.probing.probe import probe_details
from callsheet.media.speech.contract import Word
from callsheet.media.subtitles import subtitle_writers
from callsheet.media.subtitles.cue_segmentation import ReadingLimits, segment_cues
from callsheet.media.values import LoudnessOption
from callsheet.media.voice import hibari
from callsheet.media.voice.assembly import Clip, Placement, join_clips
from callsheet.media.voice.hibari import SpokenFile
from callsheet.media.voice.sentences import Sentence, split_sentences
from callsheet.media.voice.word_times import TimedWord, Timing, estimate_times
from callsheet.operation_api.contract import Context, operation
from callsheet.operations.comfyui.workflow_checks import check_workflow_inputs
from callsheet.operations.speech_alignment import recognize_times
from callsheet.operations.speech_by_comfyui import MAX_SENTENCES, prepare_speech, speak_on_comfyui

Engine = Literal["hibari", "f5-tts"]

_MAX_TEXT = 50_000
_DEFAULT_LOUDNESS = -16.0


def _check_spoken(text: str) -> str:
    if not any(map(str.isalnum, text)):
        raise ValueError("there is no letter and no digit to speak")
    return text


class SpeechParams(Model):
    """A text and how to speak it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"text": "Dawn breaks over the quiet harbor."}]})

    text: Annotated[str, AfterValidator(_check_spoken)] = Field(
        min_length=1,
        max_length=_MAX_TEXT,
        validation_alias=AliasChoices("text", "speech", "script", "prompt", "gen_text", "genText"),
        description="The text to speak. A blank line separates paragraphs",
    )
    voice: MediaSource | None = Field(
        None,
        validation_alias=AliasChoices(
            *("voice", "reference", "reference_audio", "referenceAudio", "ref_audio", "refAudio"),
            *("sample_audio", "sampleAudio", "speaker", "audio"),
        ),
        description="Reference voice for f5-tts: 5 to 15 seconds of clear speech of one person",
    )
    voice_text: str = Field(
        "",
        max_length=1000,
        validation_alias=AliasChoices(
            *("voice_text", "voiceText", "reference_text", "referenceText", "ref_text", "refText"),
            *("sample_text", "sampleText"),
        ),
        description="What the reference voice says. Empty: f5-tts recognizes it, with a model that it downloads",
    )
    engine: Engine | None = Field(
        None,
        description="hibari: one English voice, on this worker, without a GPU; f5-tts: the voice of the reference, on "
        "a ComfyUI server. Default: f5-tts with a reference voice, else hibari",
    )
    speed: float = Field(1.0, ge=0.5, le=2.0, description="Factor; 2 is twice as fast")
    seed: int = Field(0, ge=0, le=2**32 - 1, description="Equal params with an equal seed produce equal audio")
    loudness: LoudnessOption = Field(
        _DEFAULT_LOUDNESS, description="LUFS, with a true peak of at most -1.5 dBTP; false: as the engine speaks"
    )
    sample_rate: int | None = Field(
        None,
        ge=8_000,
        le=192_000,
        validation_alias=AliasChoices("sample_rate", "sampleRate"),
        description="Hertz. Default: that of the engine, 24000",
    )
    sentence_pause: int = Field(250, ge=0, le=10_000, description="Milliseconds of silence between sentences")
    paragraph_pause: int = Field(700, ge=0, le=30_000, description="Milliseconds of silence between paragraphs")
    max_chars_per_line: int = Field(42, ge=8, le=120, description="Of the captions")
    max_lines: int = Field(2, ge=1, le=3, description="Of the captions")

    @field_validator("loudness")
    @classmethod
    def _default_target(cls, value: bool | float) -> bool | float:
        return _DEFAULT_LOUDNESS if value is True else value

    @model_validator(mode="after")
    def _check_engine(self) -> Self:
        if self.spoken_by == "f5-tts":
            self._check_reference()
        elif self.voice is not None:
            raise ValueError("hibari has a voice of its own and takes no reference; leave voice out, or use f5-tts")
        elif letters := hibari.foreign_letters(self.text):
            raise ValueError(f"hibari speaks English only, and the text contains '{letters}'; use f5-tts with a voice")
        return self

    def _check_reference(self) -> None:
        if self.voice is None:
            raise ValueError("f5-tts needs a reference: give voice, 5 to 15 seconds of clear speech")
        if (count := len(split_sentences(self.text))) > MAX_SENTENCES:
            raise ValueError(f"the text has {count} sentences; f5-tts takes at most {MAX_SENTENCES}")

    @model_validator(mode="after")
    def _check_workflow(self, info: ValidationInfo) -> Self:
        if self.spoken_by == "f5-tts":
            check_workflow_inputs(partial(prepare_speech, self.text, _comfyui_inputs(self)), {}, info, field="engine")
        return self

    @property
    def spoken_by(self) -> Engine:
        """The engine that speaks."""
        return self.engine or ("hibari" if self.voice is None else "f5-tts")


class SpeechWord(Model):
    """One word with the punctuation beside it."""

    text: str
    start: float = Field(description="Seconds")
    end: float = Field(description="Seconds")


class SpeechSentence(Model):
    """One sentence."""

    text: str
    start: float = Field(description="Seconds")
    end: float = Field(description="Seconds")


class SpeechParagraph(Model):
    """One paragraph."""

    start: float = Field(description="Seconds")
    duration: float = Field(
        description="Seconds to the start of the next paragraph, or to the end of the audio: those of all paragraphs "
        "add up to the duration of the audio"
    )


class SpeechResult(Model):
    """The spoken text."""

    audio: Artifact = Field(description="A WAV file: 16 bits, one channel")
    duration: float = Field(description="Seconds")
    engine: Engine
    sample_rate: int = Field(description="Hertz")
    loudness: float | None = Field(description="Measured, in LUFS")
    sentences: list[SpeechSentence]
    paragraphs: list[SpeechParagraph]
    words: list[SpeechWord] = Field(description="Every word with its times")
    vtt: Artifact = Field(description="Captions with the time of each word, for `captions` of a render")
    timing: Timing = Field(
        description="Where the times of words come from: `engine`: its own durations; `aligned`: recognized in the "
        "audio; `estimated`: each word has its share of the characters of its sentence"
    )
    notes: list[str] = Field(default_factory=list, description="Deviations from the request, with the reason")


@operation(
    "speech",
    queue="speech",
    timeout=timedelta(minutes=30),
    needs={"ffmpeg", "voice"},
    aliases=("f5_to_tts", "text-to-speech", "tts"),
    blocking_validation=True,  # stored workflows are files
)
async def speech(job: Context, params: SpeechParams) -> SpeechResult:
    """Speak a text, and return the times of its words."""
    sentences = split_sentences(params.text)
    files = await _speak(job, params, [sentence.text for sentence in sentences])
    joined = job.dir / "joined.wav"
    clips = [Clip(file.path, pause) for file, pause in zip(files, _pauses(params, sentences), strict=True)]
    placements = await asyncio.to_thread(join_clips, clips, joined)
    job.progress(0.8, "setting the loudness")
    output, measured, notes = await _finish(job, params, joined)
    words, timing, timing_notes = await _times(job, joined, sentences, files, placements)
    info = await probe_details(output)
    audio = await job.keep(output, name="speech.wav", media_type="audio/wav")
    duration = round(info.probe.duration or placements[-1].end, 3)
    return SpeechResult(
        audio=audio,
        duration=duration,
        engine=params.spoken_by,
        sample_rate=info.probe.sample_rate or 0,
        loudness=None if measured.is_silence else round(measured.integrated, 1),
        sentences=[
            SpeechSentence(text=sentence.text, start=round(place.start, 3), end=round(place.end, 3))
            for sentence, place in zip(sentences, placements, strict=True)
        ],
        paragraphs=_paragraphs(sentences, placements, duration),
        words=[SpeechWord(text=word.text, start=round(word.start, 3), end=round(word.end, 3)) for word in words],
        vtt=await _keep_captions(job, params, words, duration),
        timing=timing,
        notes=[*notes, *timing_notes],
    )


async def _speak(job: Context, params: SpeechParams, texts: Sequence[str]) -> list[SpokenFile]:
    if params.voice is not None:
        return await speak_on_comfyui(job, texts, _comfyui_inputs(params))
    if not hibari.installed():
        raise ConfigurationError(f"hibari-tts is not installed on this worker: {hibari.INSTALL_WITH}")

    def report(share: float) -> None:
        job.progress(0.75 * share, f"{round(share * len(texts))} of {len(texts)} sentences spoken")

    return await hibari.synthesize(texts, job.dir, speed=params.speed, seed=params.seed, on_progress=report)


def _comfyui_inputs(params: SpeechParams) -> dict[str, Any]:
    """Return the inputs of the workflow of f5-tts, without the text."""
    return {
        "voice": None if params.voice is None else params.voice.model_dump(mode="json", by_alias=True),
        "voiceText": params.voice_text,
        "stretch": round(1 / params.speed, 2),
        "seed": params.seed,
    }


def _pauses(params: SpeechParams, sentences: Sequence[Sentence]) -> list[float]:
    """Return the pause before each sentence, in seconds. A split sentence continues without a pause."""
    pauses = [0.0]
    for before, sentence in pairwise(sentences):
        same = before.paragraph == sentence.paragraph
        milliseconds = params.sentence_pause if same else params.paragraph_pause
        pauses.append(0.0 if sentence.continues else milliseconds / 1000)
    return pauses


def _paragraphs(
    sentences: Sequence[Sentence], placements: Sequence[Placement], duration: float
) -> list[SpeechParagraph]:
    later = zip(pairwise(sentences), placements[1:], strict=True)
    starts = [round(place.start, 3) for (before, sentence), place in later if before.paragraph != sentence.paragraph]
    return [
        SpeechParagraph(start=start, duration=round(end - start, 3))
        for start, end in pairwise([0.0, *starts, duration])
    ]


async def _keep_captions(job: Context, params: SpeechParams, words: Sequence[TimedWord], duration: float) -> Artifact:
    limits = ReadingLimits(max_chars_per_line=params.max_chars_per_line, max_lines=params.max_lines)
    spoken = [Word(word.start, word.end, word.text) for word in words]
    cues = await asyncio.to_thread(segment_cues, spoken, limits, until=duration)
    path = job.dir / "captions.vtt"
    await asyncio.to_thread(path.write_text, subtitle_writers.vtt(cues, word_times=True), "utf-8")
    return await job.keep(path, name=path.name, media_type="text/vtt")


async def _finish(job: Context, params: SpeechParams, joined: Path) -> tuple[Path, loudness.Loudness, list[str]]:
    """Set sample rate and loudness. Return the file, its measured loudness, and deviations."""
    source = await probe_details(joined)
    rate = params.sample_rate or source.probe.sample_rate or 0
    resampled = joined
    if rate != source.probe.sample_rate:
        # The sample rate limits the frequencies, and with them the loudness, so it is set first.
        resampled = await _convert(job, joined, job.dir / "resampled.wav", rate)
    measured = await loudness.measure(job.ffmpeg, resampled)
    if params.loudness is False:
        return resampled, measured, []
    target = loudness.Target(float(params.loudness))
    made = await loudness.normalize(job.ffmpeg, resampled, measured, target, job.dir / "normalized.w64")
    if made.path == resampled:
        return resampled, measured, [made.note] if made.note else []
    output = await _convert(job, made.path, job.dir / "speech.wav", rate)
    return output, await loudness.measure(job.ffmpeg, output), [made.note] if made.note else []


async def _convert(job: Context, source: Path, output: Path, rate: int) -> Path:
    encoding = ["-ac", "1", "-ar", str(rate), "-c:a", "pcm_s16le", "-bitexact", "-f", "wav"]
    await job.ffmpeg.run([*media_input(source), "-map", "0:a:0", *encoding, file_url(output)])
    return output


async def _times(
    job: Context,
    joined: Path,
    sentences: Sequence[Sentence],
    files: Sequence[SpokenFile],
    placements: Sequence[Placement],
) -> tuple[list[TimedWord], Timing, list[str]]:
    """Return the words of all sentences in the joined audio, where their times come from, and why."""
    if all(file.words is not None for file in files):
        words = [
            TimedWord(
                word.text, max(place.start, word.start + shift), min(place.end, max(place.start, word.end + shift))
            )
            for file, place in zip(files, placements, strict=True)
            for shift in [place.start - place.cut]
            for word in file.words or ()
        ]
        return words, "engine", []
    estimated = [
        word
        for sentence, place in zip(sentences, placements, strict=True)
        for word in estimate_times(sentence.text, place.start, place.end)
    ]
    return await recognize_times(job, joined, estimated)
