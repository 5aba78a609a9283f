"""`callsheet timeline`: import and export of timelines as OpenTimelineIO files."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callsheet.cli.options import Allow, Json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from callsheet.media.probing.probe import MediaInfo
    from callsheet.media.rendering.overlay_placement import OverlayPlacement
    from callsheet.media.rendering.schedule import Schedule
    from callsheet.media.timeline.timeline import Timeline
    from callsheet.operations.media_inputs import MediaContext
    from callsheet.settings import Settings

group = typer.Typer(help="Exchange timelines with editing programs, as OpenTimelineIO.", no_args_is_help=True)

TimelineFile = Annotated[
    str,
    typer.Argument(
        metavar="TIMELINE",
        help="Timeline as a JSON or YAML file (the params of `render`, or a list of clips), or as an .otio file; "
        "- reads standard input",
    ),
]
_OTIO_SUFFIXES = (".otio", ".otioz", ".otiod")


@group.callback()
def timelines() -> None:
    """Exchange timelines with editing programs, as OpenTimelineIO."""


@group.command("import")
def import_timeline(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An .otio, .otioz or .otiod file")], as_json: Json = False
) -> None:
    """Print an OpenTimelineIO file as a timeline for `callsheet render`; notes list what was left out."""
    import yaml

    from callsheet.cli.printing import say, show, show_json
    from callsheet.media.otio.importing import from_otio

    imported = from_otio(file)
    if as_json:
        show_json(imported.timeline)
    else:
        show(yaml.safe_dump(imported.timeline, sort_keys=False, allow_unicode=True, width=120).rstrip())
    for note in imported.notes:
        say(note)


@group.command("export")
def export_timeline(
    timeline: TimelineFile,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The .otio file to write")],
    allow: Allow = None,
    as_json: Json = False,
) -> None:
    """Write a timeline as an OpenTimelineIO file; notes list what other programs do not see."""
    from callsheet.cli.bootstrap import load_settings
    from callsheet.cli.local_context import local_context
    from callsheet.cli.loop import run_async
    from callsheet.cli.printing import say, seconds_text, show_json
    from callsheet.cli.run import base_dir, with_source_roots
    from callsheet.domain.plan_validation import validate_params
    from callsheet.media.otio.exporting import to_otio
    from callsheet.media.otio.library import write_otio
    from callsheet.media.timeline.timeline import Timeline

    settings = with_source_roots(base_dir(timeline), allow, load_settings())
    data = read_timeline(timeline, settings)
    with report_timeline_problems(), local_context(settings, None) as job:
        params = Timeline.model_validate(validate_params(data, Timeline))
        footage, schedule, overlays = run_async(_place(job, params))
    exported = to_otio(params, footage, schedule, overlays, name=file.stem, folder=base_dir(timeline))
    write_otio(exported.timeline, file)
    if as_json:
        show_json({"file": str(file), "duration": round(schedule.seconds, 6), "notes": exported.notes})
    else:
        say(f"{file}: {seconds_text(schedule.seconds)}")
        for note in exported.notes:
            say(note)


async def _place(
    job: "MediaContext", timeline: "Timeline"
) -> "tuple[Mapping[str, MediaInfo], Schedule, list[OverlayPlacement]]":
    """Probe the files of a timeline, and place scenes and overlays. Raises BadParams with everything invalid."""
    from callsheet.media.rendering.overlay_placement import place_overlays
    from callsheet.media.values import parse_rate
    from callsheet.operations.staging import probe_sources, schedule_scenes

    footage = await probe_sources(job, timeline)
    schedule = schedule_scenes(timeline, footage, parse_rate(timeline.output.fps))
    return footage, schedule, place_overlays(timeline, footage, schedule)


@contextmanager
def report_timeline_problems() -> Iterator[None]:
    """Report problems as problems of the timeline, not of the parameters of a job."""
    from callsheet.domain.errors import BadParams

    try:
        yield
    except BadParams as error:
        count = "1 problem" if error.count == 1 else f"{error.count} problems"
        raise BadParams(error.problems, f"The timeline is invalid ({count})", count=error.count) from None


def read_timeline(file: str, settings: "Settings") -> dict[str, Any]:
    """Return the timeline in a file as data. Notes of an import are printed.

    Raises NotFound, TooLarge and BadParams for a file that cannot be read, and the errors of `from_otio`.
    """
    from callsheet.cli.printing import say
    from callsheet.domain.errors import BadParams, NotFound, PlanRefused, Problem
    from callsheet.domain.plan_parsing import read_plan_text
    from callsheet.media.otio.importing import from_otio

    if Path(file).suffix.lower() in _OTIO_SUFFIXES:
        imported = from_otio(Path(file))
        for note in imported.notes:
            say(note)
        return imported.timeline
    try:
        text = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise NotFound(f"The timeline '{file}' cannot be read: {error.strerror}.") from None
    try:
        data = read_plan_text(text, max_bytes=settings.max_body_bytes)
    except PlanRefused as error:
        raise BadParams(error.problems, "The timeline cannot be read") from None
    if isinstance(data, list):
        return {"scenes": data}
    if not isinstance(data, dict):
        problem = Problem("", "wrong_type", "a timeline is an object with scenes, or a list of clips")
        raise BadParams([problem], "The timeline cannot be read")
    if "jobs" in data:
        problem = Problem("jobs", "is_a_plan", "this is a plan; run it with `callsheet run`")
        raise BadParams([problem], "This is not a timeline")
    return data
