"""`callsheet timeline`: timelines from the cuts of editing programs, and back."""

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
    from callsheet.media.rendering.layers import Layer
    from callsheet.media.rendering.schedule import Schedule
    from callsheet.media.timeline.timeline import Timeline
    from callsheet.operations.media_inputs import MediaContext
    from callsheet.settings import Settings

group = typer.Typer(help="Exchange timelines with editing programs, as OpenTimelineIO.", no_args_is_help=True)

TimelineFile = Annotated[
    str,
    typer.Argument(
        metavar="TIMELINE",
        help="Timeline as a JSON or YAML file (what `render` takes, or a list of clips), or as an .otio file; "
        "- reads it from standard input",
    ),
]
_CUTS = (".otio", ".otioz", ".otiod")


@group.callback()
def timelines() -> None:
    """Exchange timelines with editing programs, as OpenTimelineIO."""


@group.command("import")
def import_timeline(
    cut: Annotated[Path, typer.Argument(metavar="CUT", help="An .otio, .otioz or .otiod file")], as_json: Json = False
) -> None:
    """Print a cut as the timeline that `callsheet render` takes; what is not carried over is told."""
    import yaml

    from callsheet.cli.printing import say, show, show_json
    from callsheet.media.otio.importing import from_otio

    made = from_otio(cut)
    if as_json:
        show_json(made.timeline)
    else:
        show(yaml.safe_dump(made.timeline, sort_keys=False, allow_unicode=True, width=120).rstrip())
    for note in made.notes:
        say(note)


@group.command("export")
def export_timeline(
    timeline: TimelineFile,
    cut: Annotated[Path, typer.Argument(metavar="CUT", help="The .otio file to write")],
    allow: Allow = None,
    as_json: Json = False,
) -> None:
    """Write a timeline as a cut that editing programs open; what they will not see is told."""
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
    with told_of_the_timeline(), local_context(settings, None) as job:
        read = Timeline.model_validate(validate_params(data, Timeline))
        footage, plan, layers = run_async(_laid_out(job, read))
    made = to_otio(read, footage, plan, layers, name=cut.stem, folder=base_dir(timeline))
    write_otio(made.timeline, cut)
    if as_json:
        show_json({"file": str(cut), "duration": round(plan.seconds, 6), "notes": made.notes})
    else:
        say(f"{cut}: {seconds_text(plan.seconds)}")
        for note in made.notes:
            say(note)


async def _laid_out(
    job: "MediaContext", timeline: "Timeline"
) -> "tuple[Mapping[str, MediaInfo], Schedule, list[Layer]]":
    """Look at the files of a timeline, and put everything in its place. Raises BadParams with all that does not fit."""
    from callsheet.media.rendering import layers
    from callsheet.media.values import read_rate
    from callsheet.operations.staging import probe_sources, scheduled

    footage = await probe_sources(job, timeline)
    plan = scheduled(timeline, footage, read_rate(timeline.output.fps))
    return footage, plan, layers.place_layers(timeline, footage, plan)


@contextmanager
def told_of_the_timeline() -> Iterator[None]:
    """Tell of problems as those of the timeline that was given, not of a job's parameters."""
    from callsheet.domain.errors import BadParams

    try:
        yield
    except BadParams as error:
        count = "1 problem" if len(error.problems) == 1 else f"{len(error.problems)} problems"
        raise BadParams(error.problems, f"The timeline does not fit ({count})") from None


def read_timeline(file: str, settings: "Settings") -> dict[str, Any]:
    """Return the timeline in a file as data. Notes of an import are told.

    Raises NotFound, TooLarge and BadParams for what cannot be read, and what `import_cut` raises.
    """
    from callsheet.cli.printing import say
    from callsheet.domain.errors import BadParams, NotFound, PlanRefused, Problem
    from callsheet.domain.plan_parsing import read_plan_text
    from callsheet.media.otio.importing import from_otio

    if Path(file).suffix.lower() in _CUTS:
        made = from_otio(Path(file))
        for note in made.notes:
            say(note)
        return made.timeline
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
        problem = Problem("jobs", "a_plan", "this is a plan; run it with `callsheet run`")
        raise BadParams([problem], "This is no timeline")
    return data
