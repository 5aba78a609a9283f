"""Operation `talk`: make the face of an image speak, with InfiniteTalk on a ComfyUI server."""

import asyncio
import math
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AliasChoices, ConfigDict, Field, ValidationInfo, model_validator

from callsheet.comfyui.outputs import OutputFile, prompt_outputs
from callsheet.comfyui.pool import ServerRequirements
from callsheet.comfyui.workflows import load_workflow
from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import BadParams, Problem, ProviderFailed
from callsheet.domain.media_source import MediaSource
from callsheet.domain.model import Model
from callsheet.files.media_types import guess_media_type
from callsheet.files.object_keys import safe_name
from callsheet.media.clips.talking import TalkingClip, join_talking_clip
from callsheet.media.encoding import codecs
from callsheet.media.encoding.encoders import EncodeSettings, select_encoder
from callsheet.media.probing.probe import MediaInfo, probe_details
from callsheet.media.speech.audio_extract import extract_speech
from callsheet.operation_api.contract import ChildJob, Context, RunChildJobs, operation
from callsheet.operations.comfyui.prepare import PreparedGraph, prepare_graph
from callsheet.operations.comfyui.prompt_run import RUN_SHARE, PromptResult, PromptRun
from callsheet.operations.comfyui.results import download_output, select_files
from callsheet.operations.comfyui.workflow_checks import check_workflow_inputs, check_workflow_name
from callsheet.operations.media_inputs import read_media
from callsheet.operations.progress import progress_callback
from callsheet.operations.speech import SpeechParams, SpeechResult
from callsheet.settings import Settings

WORKFLOW = "infinite-talk"
_CHILD_ID = "speech"
_MAX_FRAMES = 10_000
"""The maximum of `num_frames` of the node MultiTalkWav2VecEmbeds (2026-11): the server refuses a prompt with more.

The windows of a prompt, which share frames, are within it: all its frames are in memory at once.
"""


class InfiniteTalkParams(Model):
    """Parameters of the model."""

    prompt: str = Field(
        "a person speaks to the camera",
        max_length=5000,
        validation_alias=AliasChoices("prompt", "positive_prompt", "positivePrompt"),
        description="What else is seen: expression, gestures, camera",
    )
    negative_prompt: str | None = Field(None, max_length=5000, description="Default: that of the workflow")
    width: int = Field(832, ge=64, le=2048, multiple_of=16, description="Pixels; the image is cropped to this shape")
    height: int = Field(480, ge=64, le=2048, multiple_of=16, description="Pixels")
    fps: float = Field(25.0, ge=1, le=60, description="Frames per second. The model was trained with 25")
    window: int = Field(
        81,
        ge=5,
        le=481,
        validation_alias=AliasChoices("window", "frame_window_size", "frameWindowSize"),
        description="Frames that are made at once: a multiple of 4, plus 1. Longer audio is made in several windows",
    )
    overlap: int = Field(
        9,
        ge=1,
        le=240,
        validation_alias=AliasChoices("overlap", "motion_frame", "motionFrame"),
        description="Frames that two windows share, so that the motion continues",
    )
    steps: int = Field(6, ge=1, le=100, description="Sampling steps of each window")
    cfg: float = Field(1.0, ge=0, le=30, description="Influence of the prompt. Above 1, each step takes twice as long")
    shift: float = Field(11.0, ge=0, le=1000)
    audio_scale: float = Field(1.0, ge=0, le=100, description="Strength of the lip motion")
    audio_cfg: float = Field(
        1.0,
        ge=0,
        le=100,
        validation_alias=AliasChoices("audio_cfg", "audioCfg", "audio_cfg_scale", "audioCfgScale"),
        description="Influence of the audio. Other than 1, each step takes longer",
    )
    seed: int = Field(0, ge=0, le=2**32 - 1)

    @model_validator(mode="after")
    def _check_window(self) -> Self:
        if self.window % 4 != 1:
            raise ValueError(f"window is a multiple of 4, plus 1, such as 81; got {self.window}")
        if self.overlap >= self.window:
            raise ValueError(f"overlap {self.overlap} must be below window {self.window}")
        return self

    def windows(self, frames: int) -> int:
        """Return the number of windows for so many frames."""
        return 1 + max(0, math.ceil((frames - self.window) / (self.window - self.overlap)))


class TalkParams(InfiniteTalkParams):
    """An image of a face, and what it says: `audio`, or `text` or `speech`."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"image": "./face.png", "audio": "./voice.wav"}]})

    image: MediaSource = Field(
        validation_alias=AliasChoices("image", "image_path", "imagePath", "face", "portrait", "ref_image", "refImage"),
        description="A picture of one person",
    )
    audio: MediaSource | None = Field(
        None,
        validation_alias=AliasChoices("audio", "audio_path", "audioPath", "voice", "speech_audio", "speechAudio"),
        description="What the person says: an audio file, or a video with audio. It sets the length",
    )
    speech: SpeechParams | None = Field(
        None,
        description="Params of `speech`, which runs first and makes the audio. `text` alone is short for `{text: …}`",
    )
    format: Literal["mp4", "mkv"] = Field("mp4", description="mkv also keeps audio like WAV without encoding")
    workflow: Annotated[str, AfterValidator(check_workflow_name)] = Field(
        WORKFLOW,
        max_length=200,
        validate_default=True,
        description="Stored workflow with the inputs of `infinite-talk`",
    )
    tags: list[str] = Field(default_factory=list, max_length=100, description="Tags that the server must have")
    server: str | None = Field(None, description="Name of the only server to use")

    @model_validator(mode="before")
    @classmethod
    def _expand_text(cls, value: Any) -> Any:
        if not isinstance(value, dict) or "text" not in value:
            return value
        if "speech" in value:
            raise ValueError("give text or speech, not both")
        return {"speech": {"text": value["text"]}, **{key: each for key, each in value.items() if key != "text"}}

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        if (self.audio is None) == (self.speech is None):
            raise ValueError("give one of audio, text and speech")
        return self

    @model_validator(mode="after")
    def _check_inputs(self, info: ValidationInfo) -> Self:
        # The audio of a text is not known yet; the workflow takes any file in its place.
        audio = self.audio or self.image
        check_workflow_inputs(lambda settings: _prepare(settings, self, audio, frames=1), {}, info)
        return self


class TalkResult(Model):
    """The talking head."""

    video: Artifact
    duration: float = Field(description="Seconds; that of the audio")
    frames: int
    fps: float
    windows: int = Field(description="Number of windows in which the frames were made")
    server: str = Field(description="Name of the ComfyUI server")
    prompt_id: str
    speech: SpeechResult | None = Field(None, description="Result of `speech`, if it made the audio")
    notes: list[str] = Field(default_factory=list, description="Deviations from the request, with the reason")


@operation(
    "talk",
    queue="comfyui",
    timeout=timedelta(hours=24),
    attempts=5,
    needs={"ffmpeg"},
    on_worker_lost="resume",
    aliases=("infinite_talk", "talking-head"),
    blocking_validation=True,  # stored workflows are files
)
async def talk(job: Context, params: TalkParams) -> TalkResult:
    """Make the face of an image speak a recording or a text, on a ComfyUI server."""
    spoken = await _spoken(job, params)
    source = params.audio if spoken is None else MediaSource(spoken.audio)
    assert source is not None  # noqa: S101 - the params have audio or speech
    audio = await read_media(job, source, "audio", "audio")
    await _check_image(job, params)
    seconds = (await extract_speech(job.ffmpeg, audio, job.dir / "measured.wav")).seconds
    rate = Fraction(params.fps).limit_denominator(1001)
    frames = _frames(seconds, rate)
    prepared = await asyncio.to_thread(_prepare, job.settings, params, source, frames)
    requirements = ServerRequirements(
        tags=frozenset(params.tags) | prepared.tags, name=params.server, workflow=prepared.workflow
    )
    timeout = job.settings.comfyui_prompt_timeout
    limit = None if timeout is None else timeout.total_seconds()
    async with PromptRun(job, prepared, requirements, unique_names=True, timeout=limit) as run:
        prompt = await run.run()
        video = await _download(job, prompt)
    clip = await _join(job, params, video, audio, frames, rate)
    artifact = await job.keep(clip.path, name=clip.path.name, media_type=codecs.MEDIA_TYPES[params.format])
    return TalkResult(
        video=artifact,
        duration=round(seconds, 3),
        frames=frames,
        fps=float(rate),
        windows=params.windows(frames),
        server=prompt.server,
        prompt_id=prompt.prompt_id,
        speech=spoken,
        notes=_notes(params, clip, audio, frames),
    )


async def _spoken(job: Context, params: TalkParams) -> SpeechResult | None:
    """Return the result of the child job that speaks the text; None with a given audio. Raises RunChildJobs first."""
    if params.speech is None:
        return None
    if not job.children_done:
        given = params.speech.model_dump(mode="json", by_alias=True, exclude_unset=True)
        raise RunChildJobs([ChildJob(_CHILD_ID, "speech", given)])
    result = (await job.child_results()).get(_CHILD_ID)
    if result is None:
        raise ProviderFailed(f"The text was not spoken; see the job {job.job_id}/{_CHILD_ID} for the reason.")
    return SpeechResult.model_validate(result)


async def _check_image(job: Context, params: TalkParams) -> None:
    image = await read_media(job, params.image, "image", "image")
    if not image.still:
        raise BadParams([Problem("image", "not_an_image", f"'{image.path.name}' is a video, not an image")])


def _frames(seconds: float, rate: Fraction) -> int:
    frames = max(1, round(seconds * rate))
    if frames > _MAX_FRAMES:
        limit = float(_MAX_FRAMES / rate)
        parts = math.ceil(frames / _MAX_FRAMES)
        message = (
            f"the audio lasts {seconds:.1f} s; one job makes at most {limit:g} s at {float(rate):g} frames per second, "
            f"since the node of InfiniteTalk takes at most {_MAX_FRAMES:,} frames. Cut it with split at silences into "
            f"at least {parts} parts, make one talk job of each, and join their videos with concat"
        )
        raise BadParams([Problem("audio", "too_large", message)])
    return frames


def _prepare(settings: Settings, params: TalkParams, audio: MediaSource, frames: int) -> PreparedGraph:
    """Set the inputs of the workflow. An own workflow may lack inputs whose params were not given."""
    names = {name: name for name in load_workflow(params.workflow, settings).description.inputs}
    values = params.model_dump(by_alias=True, include={*InfiniteTalkParams.model_fields}, exclude_none=True)
    given = params.model_dump(by_alias=True, include={*InfiniteTalkParams.model_fields}, exclude_unset=True)
    inputs = {name: value for name, value in values.items() if name in names or name in given}
    files = {"image": params.image.root, "audio": audio.root}
    try:
        prepared = prepare_graph(params.workflow, None, {**inputs, **files, "frames": frames}, {}, settings)
    except BadParams as error:
        raise BadParams(
            [Problem(each.path.removeprefix("inputs."), each.code, each.message) for each in error.problems]
        ) from None
    return replace(
        prepared,
        files=tuple(replace(file, param=file.param.removeprefix("inputs.")) for file in prepared.files),
        params_by_field={field: param.removeprefix("inputs.") for field, param in prepared.params_by_field.items()},
    )


async def _download(job: Context, prompt: PromptResult) -> MediaInfo:
    """Download the video of the workflow: the last one that it saved."""
    files = select_files(prompt_outputs(prompt.entry).files, previews=False)
    videos = [file for file in files if guess_media_type(file.filename).startswith("video/")]
    if not videos:
        made = ", ".join(file.filename for file in files) or "no file"
        raise ProviderFailed(f"The workflow made no video: {made}.", code="no_output")
    target = _target(job, videos[-1])
    await download_output(job, prompt, videos[-1], target)
    return await probe_details(target)


def _target(job: Context, file: OutputFile) -> Path:
    folder = job.dir / "output"
    folder.mkdir(exist_ok=True)
    return folder / safe_name(file.filename)


async def _join(
    job: Context, params: TalkParams, video: MediaInfo, audio: MediaInfo, frames: int, rate: Fraction
) -> TalkingClip:
    encoder = await select_encoder(job.ffmpeg, EncodeSettings(preset=job.settings.ffmpeg_video_preset))
    return await join_talking_clip(
        job.ffmpeg,
        video,
        audio,
        frames=frames,
        rate=rate,
        encoder=encoder,
        format=params.format,
        folder=job.dir,
        on_progress=progress_callback(job, RUN_SHARE),
    )


def _notes(params: TalkParams, clip: TalkingClip, audio: MediaInfo, frames: int) -> list[str]:
    notes = []
    if clip.made_frames != frames:
        difference = "the last frame was repeated" if clip.made_frames < frames else "frames were cut off"
        notes.append(f"the workflow made {clip.made_frames} frames, the audio needs {frames}: {difference}")
    if not clip.audio_copied:
        codec = audio.audio.codec
        notes.append(f"the audio was encoded: {params.format} does not support {codec}")
    return notes
