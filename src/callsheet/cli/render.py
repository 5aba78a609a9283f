"""`callsheet render`: a timeline becomes a film in this process, or is explained."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from callsheet.cli.options import Allow, DatabaseUrl, DataDir, Json
from callsheet.cli.timelines import TimelineFile

if TYPE_CHECKING:
    from callsheet.domain.records import Execution
    from callsheet.media.rendering.explain import ExplainedCommand, Explanation
    from callsheet.settings import Settings

Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="FILE|DIR", help="The film's file, or a folder for it; made if missing"),
]
Explain = Annotated[
    bool,
    typer.Option(
        "--explain",
        help="Print the plan of work and the FFmpeg commands, and make nothing. With --out DIR, what the commands "
        "read is written there",
    ),
]


def render(
    context: typer.Context,
    timeline: TimelineFile,
    out: Out = None,
    explain: Explain = False,
    allow: Allow = None,
    as_json: Json = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Make a film of a timeline here and now, with a progress bar; or tell with --explain what that takes.

    Exit 0 when all went well, 1 when the job failed. Ctrl-C cancels it.
    """
    from callsheet.cli.run import base_dir, load_local_settings, with_source_roots
    from callsheet.cli.timelines import read_timeline, told_of_the_timeline

    settings = with_source_roots(base_dir(timeline), allow, load_local_settings(context, data_dir, database_url))
    params = read_timeline(timeline, settings)
    if explain:
        with told_of_the_timeline():
            explained = _explained(params, settings, out)
        _show(explained, out, as_json=as_json)
    else:
        _make(params, settings, out, as_json=as_json)


# Making it


def _make(params: dict[str, Any], settings: "Settings", out: Path | None, *, as_json: bool) -> None:
    import tempfile

    from callsheet.cli.run import local_paths, report, run_to_end
    from callsheet.cli.timelines import told_of_the_timeline
    from callsheet.domain.plan_validation import validate_params
    from callsheet.operations.render import render as operation

    if out is None or not _is_file(out):
        with told_of_the_timeline():
            validate_params(params, operation.params)
        execution = run_to_end(_plan(params), (), settings, out)
        report(execution, settings, local_paths(execution, settings, out), as_json=as_json)
        return
    with told_of_the_timeline():
        params = _for_the_file(params, out)
        validate_params(params, operation.params)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".callsheet-", dir=out.parent) as passing:
        execution = run_to_end(_plan(params), (), settings, Path(passing))
        places = _moved(execution, Path(passing), out)
    report(execution, settings, places, as_json=as_json)


def _plan(params: dict[str, Any]) -> dict[str, Any]:
    return {"name": "Render", "jobs": [{"id": "film", "operation": "render", "params": params}]}


def _is_file(out: Path) -> bool:
    from callsheet.media.encoding.codecs import Format

    return out.suffix[1:].lower() in get_args(Format) and not out.is_dir()


def _for_the_file(params: dict[str, Any], out: Path) -> dict[str, Any]:
    """Return the timeline in the format that the file's name tells; raises BadParams when it says another."""
    from callsheet.domain.errors import BadParams, Problem

    name = next((each for each in ("output", "output_format", "outputFormat") if each in params), "output")
    output = params.get(name) or {}
    if not isinstance(output, dict):  # told by the check of all
        return params
    told, wanted = output.get("format", out.suffix[1:].lower()), out.suffix[1:].lower()
    if told != wanted:
        message = f"the timeline says {told}, but the film is to be {out.name}"
        raise BadParams([Problem(f"{name}.format", "format_mismatch", message)])
    return {**params, name: {**output, "format": wanted}}


def _moved(execution: "Execution", folder: Path, out: Path) -> dict[str, str]:
    """Give the film the name that was asked for, and return where it lies, by artifact id."""
    from callsheet.local import unique_file_names

    places = {}
    for artifact_id, name in unique_file_names(execution).items():
        (folder / name).replace(out)
        places[str(artifact_id)] = str(out)
    return places


# Explaining it


def _explained(params: dict[str, Any], settings: "Settings", out: Path | None) -> "Explanation":
    from callsheet.cli.local_context import local_context
    from callsheet.cli.loop import run_async
    from callsheet.domain.errors import ConfigurationError
    from callsheet.domain.plan_validation import validate_params
    from callsheet.media.rendering.explain import explain
    from callsheet.media.timeline.timeline import Timeline
    from callsheet.operations.render import RenderParams
    from callsheet.operations.staging import stage

    if out is not None and (out.is_file() or _is_file(out)):
        raise ConfigurationError(f"--explain writes scripts, not a film: --out must be a folder, not '{out}'")
    timeline = validate_params(params, RenderParams)
    assert isinstance(timeline, Timeline)  # noqa: S101 - the operation takes nothing else
    with local_context(settings, out) as job:
        staged = run_async(stage(job, timeline))
        explained = explain(staged.film, staged.encoder, staged.notes, job.ffmpeg.binary, job.ffmpeg.threads)
        if out is not None:
            for command in explained.commands:
                for name, text in command.scripts.items():
                    (out / name).write_text(text, encoding="utf-8")
    return explained


def _show(explained: "Explanation", out: Path | None, *, as_json: bool) -> None:
    from callsheet.cli.printing import show, show_columns, show_json

    if as_json:
        show_json(explained.model_dump(mode="json", by_alias=True))
        return
    for line in _summary(explained):
        show(line)
    show("")
    rows = [
        (
            piece.number,
            f"{piece.start_frame} to {piece.start_frame + piece.frames - 1}",
            f"{piece.start:.3f} to {piece.end:.3f}",
            " and ".join(piece.scenes) + (" (copied)" if piece.copied else ""),
            ", ".join(piece.above),
        )
        for piece in explained.pieces
    ]
    show_columns(("PIECE", "FRAMES", "SECONDS", "SCENES", "ABOVE THEM"), rows)
    show("")
    show("Commands, one after another in one folder:")
    for command in explained.commands:
        show("")
        for line in _typed(command):
            show(line)
    _tell_scripts(explained, out)


def _summary(explained: "Explanation") -> list[str]:
    encoded = sum(not piece.copied for piece in explained.pieces)
    lines = [
        f"Film      {explained.duration:g} s, {explained.frames} frames at {explained.fps} a second, "
        f"{explained.width}x{explained.height}, {explained.format}",
        f"Picture   {explained.video_codec} by {explained.encoder}: {len(explained.pieces)} pieces, "
        f"{encoded} to encode with {explained.frames_to_encode} frames, fewer where the cache knows some",
        f"Sound     {explained.audio_codec or 'none'}{': ' if explained.heard else ''}{'; '.join(explained.heard)}",
    ]
    lines += [f"Loudness  {explained.loudness}"] if explained.loudness else []
    return [*lines, *(f"Note      {note}" for note in explained.notes)]


def _typed(command: "ExplainedCommand") -> list[str]:
    """Return a command so that it can be pasted into a shell."""
    reads = f", with {', '.join(command.scripts)}" if command.scripts else ""
    variables = [f"{name}={shlex.quote(value)}" for name, value in command.environment.items()]
    return [f"# {command.makes}{reads}", " ".join([*variables, shlex.join(command.arguments)])]


def _tell_scripts(explained: "Explanation", out: Path | None) -> None:
    from callsheet.cli.printing import say

    if out is not None:
        say(f"What the commands read lies in {out}; run them there.")
    elif any(command.scripts for command in explained.commands):
        say("With --out DIR, the scripts that the commands read are written there.")
