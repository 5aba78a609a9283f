"""The page of an execution, as fragments."""

from collections.abc import Mapping
from typing import Any

from callsheet.console.fragments import Fragment
from callsheet.console.plan_graph import draw_graph
from callsheet.console.rendering import indented, render_macro
from callsheet.console.timeline import timeline_of
from callsheet.domain.clock import shared_now
from callsheet.domain.events import Event
from callsheet.domain.records import Job, JobLogLine, StoredArtifact
from callsheet.domain.statuses import ENDED, EXECUTION_ENDED
from callsheet.engine.reads.execution_page import ExecutionPage

_TEMPLATE = "execution_parts.html"
_MAX_JSON = 1200
"""Characters of params or result on the page."""
_MAX_TEXT = 300
"""Characters of the text of an event or a log line."""


def execution_fragments(page: ExecutionPage, token: str) -> dict[str, list[Fragment]]:
    """Return the fragments of a page by section: state, graph, timeline, jobs, events."""
    now = shared_now()
    captions = captions_of(page)
    return {
        "state": [_part("state", page.summary, _summary(page), token)],
        "graph": _graph(page),
        "timeline": [_part("timeline", timeline_of(page, now))],
        "jobs": [part for job in page.jobs for part in _job(page, job, now, token, captions)],
        "events": [_event(event) for event in reversed(page.events)],
    }


def log_fragments(lines: list[tuple[int, JobLogLine]]) -> list[Fragment]:
    """Return the fragments of log lines."""
    return [
        Fragment(f"l-{number}", render_macro(_TEMPLATE, "line", number, line, _shortened(line.message)), "", "log")
        for number, line in lines
    ]


def _part(name: str, *args: Any) -> Fragment:
    return Fragment(name, render_macro(_TEMPLATE, name, *args))


def _summary(page: ExecutionPage) -> str:
    """Return the number of ended jobs, or the ids of failed jobs."""
    summary = page.summary
    if summary.status not in EXECUTION_ENDED:
        ended = sum(number for status, number in summary.job_counts.items() if status in ENDED)
        stopping = "Running jobs are being stopped. " if summary.cancel_requested_at else ""
        return f"{stopping}Ended jobs: {ended:,} of {sum(summary.job_counts.values()):,}."
    if not page.failed:
        return ""
    return f"Failed: {', '.join(page.failed[:5])}{', …' if len(page.failed) > 5 else ''}."


def _graph(page: ExecutionPage) -> list[Fragment]:
    """Return one fragment for each job, so that only changed jobs are replaced."""
    if page.graph is None:
        return []
    drawing, now = draw_graph(page.graph), shared_now()
    return [Fragment(f"n-{node.job.id}", render_macro(_TEMPLATE, "node", node, now)) for node in drawing.nodes]


def graph_frame(page: ExecutionPage, nodes: list[Fragment]) -> str:
    """Return the drawing of the plan with its edges and these jobs."""
    if page.graph is None:
        return ""
    return render_macro(_TEMPLATE, "graph", draw_graph(page.graph), [node.html for node in nodes])


def captions_of(page: ExecutionPage) -> Mapping[str, list[StoredArtifact]]:
    """Return the captions that belong to the videos of each job: its own, of jobs before it, or of jobs after it.

    Of the jobs on the page; the captions of a job itself come first.
    """
    found = {job.job_id: [f for f in page.files.get(job.id, ()) if f.media_type == "text/vtt"] for job in page.jobs}
    if not any(found.values()):
        return {}
    before = {job.job_id: [name for name in job.depends_on if name in found] for job in page.jobs}
    after: dict[str, list[str]] = {name: [] for name in found}
    for name, sources in before.items():
        for source in sources:
            after[source].append(name)
    return {
        name: [file for each in (name, *_reached(name, before), *_reached(name, after)) for file in found[each]]
        for name in found
    }


def _reached(start: str, steps: Mapping[str, list[str]]) -> list[str]:
    """Return what is reached from a job, the nearest first."""
    found = list(steps[start])
    for name in found:
        found += [each for each in steps[name] if each not in found]
    return found


def _job(
    page: ExecutionPage, job: Job, now: Any, token: str, captions: Mapping[str, list[StoredArtifact]]
) -> list[Fragment]:
    files = page.files.get(job.id, [])
    more = page.file_counts.get(job.id, 0) - len(files)
    params, result = indented(job.params, _MAX_JSON), indented(_without_urls(job.result), _MAX_JSON)
    tracks = captions.get(job.job_id, [])
    details = render_macro(_TEMPLATE, "details", job, files, more, params, result, tracks, token)
    movable = f"{job.moves}{job.queue}{job.priority}{job.start_at}"
    version = f"{params}{result}{_version(files)}{more}{_version(tracks)}{movable}"
    return [
        Fragment(f"j-{job.id}", render_macro(_TEMPLATE, "job", job, now, token), "", "job-table"),
        # A playing video does not restart: it is replaced only if files have changed.
        Fragment(f"d-{job.id}", details, version, "job-table"),
    ]


def _version(files: list[StoredArtifact]) -> str:
    return ",".join(f"{file.artifact_id}{file.from_unfinished_run}" for file in files)


def _without_urls(value: Any) -> Any:
    """Return a result without signed URLs, which are new at each load. The files are below the job."""
    if isinstance(value, list):
        return [_without_urls(item) for item in value]
    if not isinstance(value, dict):
        return value
    is_file = "artifactId" in value
    return {key: _without_urls(item) for key, item in value.items() if not (is_file and key == "url")}


def _event(event: Event) -> Fragment:
    text = render_macro(_TEMPLATE, "event", event, _shortened(_event_text(event)))
    return Fragment(f"v-{event.number}", text, "", "events", "start")


def _event_text(event: Event) -> str:
    """Return what an event says: its message, error, worker, provider or reason."""
    data: dict[str, Any] = dict(event.data)
    error = data.get("error")
    if isinstance(error, dict):
        return f"{error.get('code')}: {error.get('message')}"
    found = (data.get(name) for name in ("message", "worker", "title", "outcome", "providerStatus", "status", "reason"))
    return str(next((value for value in found if value), ""))


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}…"
