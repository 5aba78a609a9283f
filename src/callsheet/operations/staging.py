"""Staging a timeline: its files are brought here, and everything is put in its place."""

import asyncio
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

from callsheet.domain.errors import BadParams, BadSource, FFmpegFailed, Problem
from callsheet.domain.media_source import MediaSource
from callsheet.media.encoding import encoders
from callsheet.media.encoding.encoders import Encoder, EncodeSettings
from callsheet.media.encoding.loudness import loudness_target, read_audio_filter
from callsheet.media.ffmpeg.binary import capabilities
from callsheet.media.fonts import FAMILY
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.rendering import audio_mix, frame_size, layers
from callsheet.media.rendering.layers import Layer
from callsheet.media.rendering.overlays import Above, AssScript, TextLayer
from callsheet.media.rendering.render_plan import Container, RenderPlan
from callsheet.media.rendering.scene_filters import Canvas
from callsheet.media.rendering.schedule import Schedule, schedule
from callsheet.media.rendering.stream_copy import copyable
from callsheet.media.rendering.text_layers import text_layers
from callsheet.media.subtitles.ass import Line, escape_text
from callsheet.media.subtitles.ass_sanitizer import sanitize_ass
from callsheet.media.subtitles.font_families import missing_families
from callsheet.media.subtitles.style import TextStyle
from callsheet.media.subtitles.style_defaults import with_caption_defaults
from callsheet.media.subtitles.subtitle_parsers import Caption, is_ass, read_captions
from callsheet.media.timeline.captions import Captions
from callsheet.media.timeline.timeline import Timeline
from callsheet.media.values import PRESETS, Preset, read_rate
from callsheet.operations.media_inputs import MediaContext, read_media
from callsheet.processes.bounded_gather import gather_limited

_GIVEN = "given.ass"
_FETCHES = 8
"""Files that are brought here at the same time."""


@dataclass(frozen=True, slots=True)
class StagedRender:
    """A film that can be made."""

    film: RenderPlan
    encoder: Encoder
    notes: tuple[str, ...]
    """What is done otherwise than asked, and why."""


async def stage(job: MediaContext, timeline: Timeline) -> StagedRender:
    """Bring the files of a timeline here and lay the film out.

    Raises BadParams with everything that does not fit, SourceUnreachable for what did not come.
    """
    await _check_transitions(job, timeline)
    footage = await probe_sources(job, timeline)
    canvas = canvas_of(job, timeline)
    plan = scheduled(timeline, footage, canvas.rate)
    laid = _laid(timeline, footage, plan)
    captions, notes = await _captions(job, timeline.captions, plan, canvas)
    encoder = await encoders.select_encoder(job.ffmpeg, encode_settings_of(job, timeline))
    notes += [encoder.note] if encoder.note else []
    above = [*text_layers(laid, plan), *captions]
    notes += [f"there is no font '{f}' here; its text is drawn in {FAMILY}" for f in await _missing_fonts(job, above)]
    film = RenderPlan(
        plan,
        canvas,
        above,
        audio_mix.collect_audio(timeline, footage, laid, plan),
        loudness_target(timeline.loudness, read_audio_filter(job.settings.ffmpeg_audio_filter)),
        mute=timeline.output.mute,
        container=_container(timeline),
        copied=await copyable(plan, canvas, above, encoder, job.ffmpeg, job.dir),
    )
    return StagedRender(film, encoder, (*_evened(timeline, canvas), *notes))


def canvas_of(job: MediaContext, timeline: Timeline) -> Canvas:
    """Return the picture of the film."""
    output = timeline.output
    ratio = frame_size.parse_ratio(output.aspect_ratio or job.settings.ffmpeg_aspect_ratio)
    short = int(output.resolution[:-1]) if output.resolution else frame_size.SHORT_SIDE
    width, height = frame_size.even_size(output.width, output.height, ratio, short)
    return Canvas(width, height, read_rate(output.fps), output.fit, output.background)


def encode_settings_of(job: MediaContext, timeline: Timeline) -> EncodeSettings:
    """Return what the picture is to be encoded as."""
    output = timeline.output
    return EncodeSettings(
        codec=output.picture_codec,
        quality=output.quality,
        crf=output.crf,
        bitrate=output.bitrate,
        max_bitrate=output.max_bitrate,
        preset=output.preset or _usual_preset(job),
        hardware="nvenc" if timeline.use_gpu else output.hardware,
    )


def _usual_preset(job: MediaContext) -> Preset:
    usual = job.settings.ffmpeg_video_preset
    return next((preset for preset in PRESETS if preset == usual), "medium")


async def _missing_fonts(job: MediaContext, above: Sequence[Above]) -> list[str]:
    written = [thing for thing in above if isinstance(thing, TextLayer)]
    families = {line.style.font_family for lettering in written for line in lettering.lines}
    return await missing_families(job.ffmpeg, families, job.dir)


def _container(timeline: Timeline) -> Container:
    output = timeline.output
    codec = output.sound_codec
    usual = 192_000 if codec == "aac" else None
    return Container(output.format, codec, output.audio_bitrate or usual)


def _evened(timeline: Timeline, canvas: Canvas) -> Iterator[str]:
    asked = timeline.output.width or canvas.width, timeline.output.height or canvas.height
    if asked != (canvas.width, canvas.height):
        yield f"{asked[0]}x{asked[1]} made even: {canvas.width}x{canvas.height}"


async def _check_transitions(job: MediaContext, timeline: Timeline) -> None:
    """Some names are known to newer builds of FFmpeg only."""
    known = (await capabilities(job.ffmpeg.binary)).transitions
    problems = [
        Problem(f"scenes[{number}].transition.type", "unknown_transition", f"this FFmpeg has no '{passing.type}'")
        for number, scene in enumerate(timeline.scenes)
        if (passing := scene.passing) is not None and passing.type not in known
    ]
    if problems:
        raise BadParams(problems)


async def probe_sources(job: MediaContext, timeline: Timeline) -> dict[str, MediaInfo]:
    """Bring all files here and look at them; a file used twice is brought once.

    Raises BadParams with every file that cannot be used.
    """
    fields = {where: source.model_dump_json() for where, source in timeline.media()}
    sources: dict[str, tuple[str, MediaSource]] = {}
    for where, source in timeline.media():
        sources.setdefault(fields[where], (where, source))

    async def bring(where: str, source: MediaSource) -> MediaInfo | list[Problem]:
        try:
            return await read_media(job, source, f"{where}.src")
        except BadParams as refusal:
            return refusal.problems
        except (BadSource, FFmpegFailed) as refusal:
            return [Problem(f"{where}.src", refusal.code, refusal.message)]

    found = await gather_limited([partial(bring, *given) for given in sources.values()], at_once=_FETCHES)
    problems = [problem for each in found if isinstance(each, list) for problem in each]
    if problems:
        raise BadParams(problems)
    by_source = {key: each for key, each in zip(sources, found, strict=True) if isinstance(each, MediaInfo)}
    return {where: by_source[key] for where, key in fields.items()}


def scheduled(timeline: Timeline, footage: Mapping[str, MediaInfo], rate: Fraction) -> Schedule:
    """Put the scenes in their places. Raises BadParams with all files that do not fit where they stand."""
    problems: list[Problem] = []
    plan = None
    of_scenes = [footage.get(f"scenes[{number}]") for number in range(len(timeline.scenes))]
    try:
        plan = schedule(timeline.scenes, of_scenes, rate, timeline.output.background)
    except BadParams as refusal:
        problems += refusal.problems
    problems += [*layers.layer_problems(timeline, footage), *audio_mix.audio_problems(timeline, footage)]
    if problems or plan is None:
        raise BadParams(problems)
    return plan


def _laid(timeline: Timeline, footage: Mapping[str, MediaInfo], plan: Schedule) -> list[Layer]:
    """Lay what is seen over the scenes. Raises BadParams with all that is seen or heard when all is over."""
    unheard = [*audio_mix.late(timeline, footage, plan)]
    try:
        laid = layers.place_layers(timeline, footage, plan)
    except BadParams as unseen:
        raise BadParams([*unseen.problems, *unheard]) from None
    if unheard:
        raise BadParams(unheard)
    return laid


async def _captions(
    job: MediaContext, captions: Captions | None, plan: Schedule, canvas: Canvas
) -> tuple[list[Above], list[str]]:
    if captions is None:
        return [], []
    if captions.src is None:
        found = _from_cues(captions)
    else:
        try:
            path = await job.fetch_input(captions.src)
            if await asyncio.to_thread(is_ass, path):
                return [await asyncio.to_thread(_given, path, job.dir)], []
            found = await asyncio.to_thread(read_captions, path, captions.style.uppercase)
        except BadSource as refusal:
            raise BadParams([Problem("captions.src", refusal.code, refusal.message)]) from None
    late = sum(caption.start >= plan.seconds for caption in found)
    notes = [f"{late} of {len(found)} captions begin after the end of the film"] if late else []
    looks = with_caption_defaults(captions.style, canvas.width, canvas.height)
    return [TextLayer(tuple(_line(c, looks, plan.seconds) for c in found if c.start < plan.seconds))], notes


def _line(caption: Caption, looks: TextStyle, end: float) -> Line:
    return Line(caption.start, min(caption.end, end), caption.text, looks, words=caption.words)


def _from_cues(captions: Captions) -> list[Caption]:
    shout = str.upper if captions.style.uppercase else str
    cues = sorted(captions.cues, key=lambda cue: cue.start)
    return [Caption(cue.start, cue.end, escape_text(shout(cue.text))) for cue in cues]


def _given(path: Path, folder: Path) -> AssScript:
    """Lay a script that somebody made where FFmpeg finds it."""
    script = sanitize_ass(path)
    (folder / _GIVEN).write_text(script.text, encoding="utf-8")
    return AssScript(_GIVEN, hashlib.sha256(script.text.encode()).hexdigest(), script.shown)
