"""Render: scenes, titles, captions and sound become one film."""

import asyncio
import shutil
from datetime import timedelta

from pydantic import Field

from callsheet.domain.artifacts import Artifact
from callsheet.domain.errors import BadParams, Problem
from callsheet.domain.model import Model
from callsheet.media import encoders
from callsheet.media.ass import literal
from callsheet.media.binary import capabilities
from callsheet.media.film import EncoderFailed, Film, Made, Music, make
from callsheet.media.loudness import aim, read_audio_filter
from callsheet.media.picture import Canvas
from callsheet.media.probe import Footage, inspect
from callsheet.media.schedule import Schedule, schedule
from callsheet.media.segments import Script
from callsheet.media.shape import even_size, parse_ratio
from callsheet.media.subtitles import Caption, is_ass, read_captions
from callsheet.media.text import write_captions, write_titles
from callsheet.media.timeline import Captions, Scene, Timeline
from callsheet.media.words import read_rate
from callsheet.operations.contract import Context, operation


class RenderParams(Timeline):
    """A film to make."""


class RenderResult(Model):
    """The film."""

    video: Artifact
    duration: float = Field(description="Seconds")
    encoder: str = Field(examples=["libx264"])
    notes: list[str] = Field(default_factory=list, description="What was done otherwise than asked, and why")


@operation(
    "render",
    queue="render",
    priority=10,
    timeout=timedelta(hours=1),
    needs={"ffmpeg"},
    aliases=("render_video_task", "render_video"),
)
async def render(job: Context, params: RenderParams) -> RenderResult:
    """Make one film of scenes, with transitions, titles, captions and sound."""
    await _check_transitions(job, params)
    rate = read_rate(params.output.fps)
    plan = schedule(params.scenes, await _footage(job, params.scenes), rate)
    width, height = even_size(params.output.width, params.output.height, parse_ratio(job.settings.ffmpeg_aspect_ratio))
    canvas = Canvas(width, height, rate, params.output.fit)
    scripts, notes = await _scripts(job, params, plan, canvas)
    if (params.output.width or width, params.output.height or height) != (width, height):
        notes.append(f"{params.output.width}x{params.output.height} made even: {width}x{height}")
    level = aim(params.loudness, read_audio_filter(job.settings.ffmpeg_audio_filter))
    film = Film(plan, canvas, scripts, await _music(job, params), level)
    made, encoder = await _made(job, params, film, notes)
    video = await job.keep(made.path, name="video.mp4", media_type="video/mp4")
    return RenderResult(video=video, duration=plan.seconds, encoder=encoder, notes=[*notes, *made.notes])


async def _check_transitions(job: Context, params: RenderParams) -> None:
    """Some names are known to newer builds of FFmpeg only."""
    known = (await capabilities(job.ffmpeg.binary)).transitions
    problems = [
        Problem(f"scenes[{number}].transition.type", "unknown_transition", f"this FFmpeg has no '{passing.type}'")
        for number, scene in enumerate(params.scenes)
        if (passing := scene.passing) is not None and passing.type not in known
    ]
    if problems:
        raise BadParams(problems)


async def _footage(job: Context, scenes: list[Scene]) -> list[Footage | None]:
    """Bring the file of each scene here and look at it; a file used twice is brought once."""
    found: dict[str, Footage] = {}
    for scene in scenes:
        if scene.src is not None and (key := scene.src.model_dump_json()) not in found:
            found[key] = await inspect(await job.open(scene.src))
    return [found[scene.src.model_dump_json()] if scene.src else None for scene in scenes]


async def _scripts(
    job: Context, params: RenderParams, plan: Schedule, canvas: Canvas
) -> tuple[list[Script], list[str]]:
    scripts = await asyncio.to_thread(write_titles, plan, canvas, job.dir)
    if params.captions is None:
        return scripts, []
    if params.captions.src is not None:
        path = await job.open(params.captions.src)
        if await asyncio.to_thread(is_ass, path):
            await asyncio.to_thread(shutil.copyfile, path, job.dir / "given.ass")
            return [*scripts, Script("given.ass")], []
        captions = await asyncio.to_thread(read_captions, path, params.captions.style.uppercase)
    else:
        captions = _from_cues(params.captions)
    late = sum(caption.start >= plan.seconds for caption in captions)
    notes = [f"{late} of {len(captions)} captions begin after the end of the film"] if late else []
    style = params.captions.style
    written = await asyncio.to_thread(write_captions, captions, style, plan, canvas, job.dir)
    return [*scripts, *written], notes


def _from_cues(captions: Captions) -> list[Caption]:
    shout = str.upper if captions.style.uppercase else str
    cues = sorted(captions.cues, key=lambda cue: cue.start)
    return [Caption(cue.start, cue.end, literal(shout(cue.text))) for cue in cues]


async def _music(job: Context, params: RenderParams) -> Music | None:
    if params.soundtrack is None:
        return None
    found = await inspect(await job.open(params.soundtrack.src))
    if not found.has_sound:
        raise BadParams([Problem("soundtrack.src", "no_sound", "there is no sound in this file")])
    return Music(found.path, params.soundtrack)


async def _made(job: Context, params: RenderParams, film: Film, notes: list[str]) -> tuple[Made, str]:
    preset = params.output.preset or job.settings.ffmpeg_video_preset
    crf = encoders.crf_for(params.output.quality, params.output.crf)
    encoder, note = await encoders.choose(job.ffmpeg, use_gpu=params.use_gpu, preset=preset, crf=crf)
    notes += [note] if note else []
    try:
        return await make(film, encoder, job.ffmpeg, job.dir, job.progress), encoder.name
    except EncoderFailed as error:
        encoders.distrust_nvenc(job.ffmpeg, error.message)
        notes.append(f"encoded again by libx264, since the GPU failed: {error.message}")
        encoder = encoders.x264(preset=preset, crf=crf)
        return await make(film, encoder, job.ffmpeg, job.dir, job.progress), encoder.name
