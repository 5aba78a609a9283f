"""`callsheet render`: render a timeline in this process, or explain the render."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from callsheet.cli.options import Allow, DatabaseUrl, DataDir, Json
from callsheet.cli.timelines import TimelineFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from callsheet.domain.records import Execution
    from callsheet.media.rendering.explain import ExplainedCommand, Explanation
    from callsheet.settings import Settings

Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="FILE|DIR", help="Output file, or folder for it; created if missing"),
]
Explain = Annotated[
    bool,
    typer.Option(
        "--explain",
        help="Print the segments and the FFmpeg commands without running them. With --out DIR, also write the files "
        "that the commands read",
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
    """Render a timeline in this process, with a progress bar; or print its FFmpeg commands with --explain.

    Exit status 0 on success, 1 when the job failed. Ctrl-C cancels the render.
    """
    from callsheet.cli.run import base_dir, load_local_settings, with_source_roots
    from callsheet.cli.timelines import read_timeline, report_timeline_problems

    settings = with_source_roots(base_dir(timeline), allow, load_local_settings(context, data_dir, database_url))
    params = read_timeline(timeline, settings)
    if explain:
        with report_timeline_problems():
            explanation = _explain(params, settings, out)
        _print_explanation(explanation, out, as_json=as_json)
    else:
        _render(params, settings, out, as_json=as_json)


# Render


def _render(params: dict[str, Any], settings: "Settings", out: Path | None, *, as_json: bool) -> None:
    import tempfile

    from callsheet.cli.run import local_paths, report, run_to_end
    from callsheet.cli.timelines import report_timeline_problems
    from callsheet.domain.plan_validation import validate_params
    from callsheet.operations.render import render as operation

    to_file = out is not None and _is_video_file(out)
    with report_timeline_problems():
        if out is not None and to_file:
            params = _with_format_of(params, out)
        validate_params(params, operation.params)
    if out is None:
        execution = run_to_end(_plan(params), (), settings, None)
        report(execution, settings, local_paths(execution, settings, None), as_json=as_json)
        return
    folder = out.parent if to_file else out
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".callsheet-", dir=folder) as temporary:
        execution = run_to_end(_plan(params), (), settings, Path(temporary))
        paths = _move_files(execution, Path(temporary), lambda name: out if to_file else out / name)
    report(execution, settings, paths, as_json=as_json)


def _plan(params: dict[str, Any]) -> dict[str, Any]:
    return {"name": "Render", "jobs": [{"id": "render", "operation": "render", "params": params}]}


def _is_video_file(out: Path) -> bool:
    from callsheet.media.encoding.codecs import Format

    return out.suffix[1:].lower() in get_args(Format) and not out.is_dir()


def _with_format_of(params: dict[str, Any], out: Path) -> dict[str, Any]:
    """Return the timeline with the format of the file name. Raises BadParams when it has another format."""
    from callsheet.domain.errors import BadParams, Problem

    key = next((each for each in ("output", "output_format", "outputFormat") if each in params), "output")
    output = params.get(key) or {}
    if not isinstance(output, dict):  # the validation reports it
        return params
    suffix = out.suffix[1:].lower()
    if (format := output.get("format", suffix)) != suffix:
        message = f"the format is {format}, but the output file is {out.name}"
        raise BadParams([Problem(f"{key}.format", "format_mismatch", message)])
    return {**params, key: {**output, "format": suffix}}


def _move_files(execution: "Execution", folder: Path, target_of: "Callable[[str], Path]") -> dict[str, str]:
    """Move the downloaded files to their targets, and return their paths by artifact id."""
    from callsheet.local import artifact_paths

    paths = {}
    for artifact_id, path in artifact_paths(execution).items():
        target = target_of(path.name)
        (folder / path).replace(target)
        paths[str(artifact_id)] = str(target)
    return paths


# Explain


def _explain(params: dict[str, Any], settings: "Settings", out: Path | None) -> "Explanation":
    from callsheet.cli.local_context import local_context
    from callsheet.cli.loop import run_async
    from callsheet.domain.errors import ConfigurationError
    from callsheet.domain.plan_validation import validate_params
    from callsheet.media.rendering.explain import explain
    from callsheet.media.timeline.timeline import Timeline
    from callsheet.operations.render import RenderParams
    from callsheet.operations.staging import stage

    if out is not None and (out.is_file() or _is_video_file(out)):
        raise ConfigurationError(f"--explain writes scripts, not a video: --out must be a folder, not '{out}'")
    timeline = validate_params(params, RenderParams)
    assert isinstance(timeline, Timeline)  # noqa: S101 - RenderParams is a Timeline
    with local_context(settings, out) as job:
        staged = run_async(stage(job, timeline))
        explanation = explain(staged.plan, staged.encoder, staged.notes, job.ffmpeg.binary, job.ffmpeg.threads)
        if out is not None:
            for command in explanation.commands:
                for name, text in command.scripts.items():
                    (out / name).write_text(text, encoding="utf-8")
    return explanation


def _print_explanation(explanation: "Explanation", out: Path | None, *, as_json: bool) -> None:
    from callsheet.cli.printing import show, show_columns, show_json

    if as_json:
        show_json(explanation.model_dump(mode="json", by_alias=True))
        return
    for line in _summary(explanation):
        show(line)
    show("")
    rows = [
        (
            segment.number,
            f"{segment.start_frame} to {segment.start_frame + segment.frames - 1}",
            f"{segment.start:.3f} to {segment.end:.3f}",
            " and ".join(segment.scenes) + (" (copied)" if segment.copied else ""),
            ", ".join(segment.overlays),
        )
        for segment in explanation.segments
    ]
    show_columns(("SEGMENT", "FRAMES", "SECONDS", "SCENES", "OVERLAYS"), rows)
    show("")
    show("Commands, to run in order in one folder:")
    for command in explanation.commands:
        show("")
        for line in _shell_lines(command):
            show(line)
    _print_script_hint(explanation, out)


def _summary(explanation: "Explanation") -> list[str]:
    encoded = sum(not segment.copied for segment in explanation.segments)
    sources = f": {'; '.join(explanation.audio)}" if explanation.audio else ""
    lines = [
        f"Output    {explanation.duration:g} s, {explanation.frames} frames at {explanation.fps} fps, "
        f"{explanation.width}x{explanation.height}, {explanation.format}",
        f"Video     {explanation.video_codec} by {explanation.encoder}: {len(explanation.segments)} segments, "
        f"{encoded} to encode with {explanation.frames_to_encode} frames, fewer if some are cached",
        f"Audio     {explanation.audio_codec or 'none'}{sources}",
    ]
    lines += [f"Loudness  {explanation.loudness}"] if explanation.loudness else []
    return [*lines, *(f"Note      {note}" for note in explanation.notes)]


def _shell_lines(command: "ExplainedCommand") -> list[str]:
    """Return a comment and a command line that can be pasted into a shell."""
    reads = f", reads {', '.join(command.scripts)}" if command.scripts else ""
    variables = [f"{name}={shlex.quote(value)}" for name, value in command.environment.items()]
    return [f"# {command.purpose}{reads}", " ".join([*variables, shlex.join(command.arguments)])]


def _print_script_hint(explanation: "Explanation", out: Path | None) -> None:
    from callsheet.cli.printing import say

    if out is not None:
        say(f"The files that the commands read are in {out}; run the commands there.")
    elif any(command.scripts for command in explanation.commands):
        say("With --out DIR, the files that the commands read are written to DIR.")
