"""Staging of a render: the source files are fetched and probed, and the timeline becomes a render plan."""

import asyncio
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import chain
from pathlib import Path

from callsheet.domain.errors import BadParams, BadSource, FFmpegFailed, Problem
from callsheet.domain.media_source import MediaSource
from callsheet.media.encoding import encoders
from callsheet.media.encoding.downmix import downmix_notes
from callsheet.media.encoding.encoders import Encoder, EncodeSettings
from callsheet.media.encoding.loudness import loudness_target, read_audio_filter
from callsheet.media.ffmpeg.binary import capabilities
from callsheet.media.fonts import FAMILY
from callsheet.media.probing.probe import MediaInfo
from callsheet.media.rendering import frame_size
from callsheet.media.rendering.audio_placement import audio_problems, late_audio_problems, place_audio
from callsheet.media.rendering.layers import AssScript, Layer, TextLayer
from callsheet.media.rendering.overlay_placement import OverlayPlacement, overlay_problems, place_overlays
from callsheet.media.rendering.render_plan import ContainerSettings, RenderPlan
from callsheet.media.rendering.scene_filters import Canvas
from callsheet.media.rendering.schedule import Schedule, build_schedule
from callsheet.media.rendering.stream_copy import copyable_shots
from callsheet.media.rendering.text_layers import text_layers
from callsheet.media.subtitles.ass import Line, escape_text
from callsheet.media.subtitles.ass_sanitizer import sanitize_ass
from callsheet.media.subtitles.font_families import missing_families
from callsheet.media.subtitles.style import TextStyle
from callsheet.media.subtitles.style_defaults import with_caption_defaults
from callsheet.media.subtitles.subtitle_parsers import Caption, is_ass, late_notes, read_captions
from callsheet.media.timeline.captions import Captions
from callsheet.media.timeline.timeline import Timeline
from callsheet.media.values import PRESETS, Preset, parse_rate
from callsheet.operations.media_inputs import MediaContext, read_media
from callsheet.processes.bounded_gather import gather_limited

_ASS_FILE = "given.ass"
_MAX_FETCHES = 8
"""Source files that are fetched in parallel."""


@dataclass(frozen=True, slots=True)
class StagedRender:
    """A render that is ready to run: all its files are local."""

    plan: RenderPlan
    encoder: Encoder
    notes: tuple[str, ...]
    """Deviations from the request, with reasons."""


async def stage(job: MediaContext, timeline: Timeline) -> StagedRender:
    """Fetch the files of a timeline and build its render plan.

    Raises BadParams with everything that is invalid, SourceUnreachable for a file that could not be fetched.
    """
    await _check_transitions(job, timeline)
    footage = await probe_sources(job, timeline)
    canvas = output_canvas(job, timeline)
    schedule = schedule_scenes(timeline, footage, canvas.rate)
    overlays = _place_overlays(timeline, footage, schedule)
    captions, notes = await _caption_layers(job, timeline.captions, schedule, canvas)
    encoder = await encoders.select_encoder(job.ffmpeg, encode_settings(job, timeline))
    notes += [encoder.note] if encoder.note else []
    layers = [*text_layers(overlays, schedule), *captions]
    missing_fonts = await _missing_fonts(job, layers)
    notes += [f"the font '{family}' is not installed; its text is drawn in {FAMILY}" for family in missing_fonts]
    plan = RenderPlan(
        schedule,
        canvas,
        layers,
        place_audio(timeline, footage, overlays, schedule),
        loudness_target(timeline.loudness, read_audio_filter(job.settings.ffmpeg_audio_filter)),
        mute=timeline.output.mute,
        container=_container(timeline),
        copied_shots=await copyable_shots(schedule, canvas, layers, encoder, job.ffmpeg, job.dir),
    )
    notes += dict.fromkeys(chain.from_iterable(downmix_notes(f.path.name, f.audio_layout) for f in footage.values()))
    opened = dict.fromkeys(note for media in footage.values() for note in media.notes)
    return StagedRender(plan, encoder, (*_size_notes(timeline, canvas), *opened, *notes))


def output_canvas(job: MediaContext, timeline: Timeline) -> Canvas:
    """Return the frame size, frame rate and background of the output."""
    output = timeline.output
    ratio = frame_size.parse_ratio(output.aspect_ratio or job.settings.ffmpeg_aspect_ratio)
    short = int(output.resolution[:-1]) if output.resolution else frame_size.DEFAULT_SHORT_SIDE
    width, height = frame_size.even_size(output.width, output.height, ratio, short)
    return Canvas(width, height, parse_rate(output.fps), output.fit, output.background)


def encode_settings(job: MediaContext, timeline: Timeline) -> EncodeSettings:
    """Return the settings of the video encoder."""
    output = timeline.output
    return EncodeSettings(
        codec=output.effective_video_codec,
        quality=output.quality,
        crf=output.crf,
        bitrate=output.bitrate,
        max_bitrate=output.max_bitrate,
        preset=output.preset or _default_preset(job),
        hardware="nvenc" if timeline.use_gpu else output.hardware,
    )


def _default_preset(job: MediaContext) -> Preset:
    default = job.settings.ffmpeg_video_preset
    return next((preset for preset in PRESETS if preset == default), "medium")


async def _missing_fonts(job: MediaContext, layers: Sequence[Layer]) -> list[str]:
    text_lines = [line for layer in layers if isinstance(layer, TextLayer) for line in layer.lines]
    return await missing_families(job.ffmpeg, {line.style.font_family for line in text_lines}, job.dir)


def _container(timeline: Timeline) -> ContainerSettings:
    output = timeline.output
    codec = output.effective_audio_codec
    default_bitrate = 192_000 if codec == "aac" else None
    return ContainerSettings(output.format, codec, output.audio_bitrate or default_bitrate)


def _size_notes(timeline: Timeline, canvas: Canvas) -> Iterator[str]:
    requested = timeline.output.width or canvas.width, timeline.output.height or canvas.height
    if requested != (canvas.width, canvas.height):
        yield f"{requested[0]}x{requested[1]} made even: {canvas.width}x{canvas.height}"


async def _check_transitions(job: MediaContext, timeline: Timeline) -> None:
    """Raise BadParams with every transition that this build of FFmpeg lacks; older builds lack some."""
    available = (await capabilities(job.ffmpeg.binary)).transitions
    problems = [
        Problem(f"scenes[{number}].transition.type", "unknown_transition", f"this FFmpeg has no '{transition.type}'")
        for number, scene in enumerate(timeline.scenes)
        if (transition := scene.effective_transition) is not None and transition.type not in available
    ]
    if problems:
        raise BadParams(problems)


async def probe_sources(job: MediaContext, timeline: Timeline) -> dict[str, MediaInfo]:
    """Fetch and probe all files, each one once, and return the results by field name.

    Raises BadParams with every file that cannot be used.
    """
    keys = {field: source.model_dump_json() for field, source in timeline.media()}
    sources: dict[str, tuple[str, MediaSource]] = {}
    for field, source in timeline.media():
        sources.setdefault(keys[field], (field, source))

    async def fetch(field: str, source: MediaSource) -> MediaInfo | list[Problem]:
        try:
            return await read_media(job, source, f"{field}.src", strict=timeline.strict)
        except BadParams as error:
            return error.problems
        except (BadSource, FFmpegFailed) as error:
            return [Problem(f"{field}.src", error.code, error.message)]

    results = await gather_limited([partial(fetch, *item) for item in sources.values()], limit=_MAX_FETCHES)
    problems = [problem for result in results if isinstance(result, list) for problem in result]
    if problems:
        raise BadParams(problems)
    by_key = {key: result for key, result in zip(sources, results, strict=True) if isinstance(result, MediaInfo)}
    return {field: by_key[key] for field, key in keys.items()}


def schedule_scenes(timeline: Timeline, footage: Mapping[str, MediaInfo], rate: Fraction) -> Schedule:
    """Return the schedule of the scenes. Raises BadParams with every file that does not suit its field."""
    problems: list[Problem] = []
    schedule = None
    scene_footage = [footage.get(f"scenes[{number}]") for number in range(len(timeline.scenes))]
    try:
        schedule = build_schedule(timeline.scenes, scene_footage, rate, timeline.output.background)
    except BadParams as error:
        problems += error.problems
    problems += [*overlay_problems(timeline, footage), *audio_problems(timeline, footage)]
    if problems or schedule is None:
        raise BadParams(problems)
    return schedule


def _place_overlays(timeline: Timeline, footage: Mapping[str, MediaInfo], schedule: Schedule) -> list[OverlayPlacement]:
    """Place the overlays. Raises BadParams with every overlay and audio clip that starts after the end."""
    late_audio = [*late_audio_problems(timeline, footage, schedule)]
    try:
        overlays = place_overlays(timeline, footage, schedule)
    except BadParams as late_overlays:
        raise BadParams([*late_overlays.problems, *late_audio]) from None
    if late_audio:
        raise BadParams(late_audio)
    return overlays


async def _caption_layers(
    job: MediaContext, captions: Captions | None, schedule: Schedule, canvas: Canvas
) -> tuple[list[Layer], list[str]]:
    """Return the layers of the captions, and notes."""
    if captions is None:
        return [], []
    if captions.src is None:
        cues, notes = _inline_captions(captions), []
    else:
        try:
            path = await job.fetch_input(captions.src)
            if await asyncio.to_thread(is_ass, path):
                script, script_notes = await asyncio.to_thread(_stage_ass_script, path, job.dir)
                starts = [start for start, _ in script.intervals]
                return [script], [*script_notes, *late_notes(starts, schedule.seconds)]
            file = await asyncio.to_thread(read_captions, path, captions.style.uppercase)
            cues, notes = file.captions, [*file.notes]
        except BadSource as error:
            raise BadParams([Problem("captions.src", error.code, error.message)]) from None
    end = schedule.seconds
    notes += late_notes([cue.start for cue in cues], end)
    style = with_caption_defaults(captions.style, canvas.width, canvas.height)
    return [TextLayer(tuple(_line(cue, style, end) for cue in cues if cue.start < end))], notes


def _line(caption: Caption, style: TextStyle, end: float) -> Line:
    if caption.at_top:
        style = style.model_copy(update={"position": "top"})
    return Line(caption.start, min(caption.end, end), caption.text, style, words=caption.words)


def _inline_captions(captions: Captions) -> list[Caption]:
    convert = str.upper if captions.style.uppercase else str
    cues = sorted(captions.cues, key=lambda cue: cue.start)
    return [Caption(cue.start, cue.end, escape_text(convert(cue.text))) for cue in cues]


def _stage_ass_script(path: Path, folder: Path) -> tuple[AssScript, tuple[str, ...]]:
    """Write a sanitized copy of a client's ASS script into the folder that FFmpeg runs in, and return it with notes."""
    script = sanitize_ass(path)
    (folder / _ASS_FILE).write_text(script.text, encoding="utf-8")
    return AssScript(_ASS_FILE, hashlib.sha256(script.text.encode()).hexdigest(), script.shown), script.notes
