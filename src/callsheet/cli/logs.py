"""Commands that read what happened: `logs` and `events`."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from callsheet.cli.execution_ids import ExecutionId, find_execution_id
from callsheet.cli.options import ApiKey, Url

if TYPE_CHECKING:
    from callsheet.cli.remote import ApiClient

_POLL_INTERVAL = 1.0

JobOption = Annotated[str | None, typer.Option("--job", metavar="JOB", help="Only this job, by its id in the plan")]
Follow = Annotated[
    bool, typer.Option("--follow", "-f", help="Continue until the execution has ended; Ctrl-C ends only this command")
]
JsonLines = Annotated[bool, typer.Option("--json", help="Print each entry as one line of JSON")]


def logs(
    execution_id: ExecutionId,
    job: JobOption = None,
    follow: Follow = False,
    as_json: JsonLines = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Print the log lines of the jobs of an execution, oldest first."""
    with _opened(execution_id, job, url, api_key) as (client, path):
        lines = f"{path}/logs" if job is None else f"{path}/jobs/{quote(job, safe='')}/logs"
        for entry in _entries(client, lines, "logs", follow=follow):
            _show(entry, as_json=as_json, text=partial(_log_text, with_job=job is None))


def events(
    execution_id: ExecutionId,
    job: JobOption = None,
    follow: Follow = False,
    as_json: JsonLines = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Print the events of an execution, oldest first."""
    with _opened(execution_id, job, url, api_key) as (client, path):
        entries = (
            (event.model_dump(mode="json") for event in client.watch(path.rpartition("/")[2]))
            if follow
            else _entries(client, f"{path}/events", "events", follow=False)
        )
        for event in entries:
            if job is None or event.get("jobId") == job:
                _show(event, as_json=as_json, text=_event_text)


@contextmanager
def _opened(
    execution_id: str, job: str | None, url: str | None, api_key: str | None
) -> "Iterator[tuple[ApiClient, str]]":
    """Connect to the server; yield the client and the path of the execution, which has this job."""
    from callsheet.cli.executions import job_of
    from callsheet.cli.remote import connect

    with connect(url, api_key) as client:
        path = f"/api/executions/{find_execution_id(client, execution_id)}"
        if job is not None:
            job_of(client.get(path), job)
        yield client, path


def _show(entry: Mapping[str, Any], *, as_json: bool, text: Callable[[Mapping[str, Any]], str]) -> None:
    from callsheet.cli.printing import show

    show(json.dumps(entry, ensure_ascii=False) if as_json else text(entry))


def _entries(client: "ApiClient", path: str, name: str, *, follow: bool) -> Iterator[Mapping[str, Any]]:
    """Yield the entries of a paged route; with `follow`, new ones until the execution has ended."""
    after: Any = 0
    while True:
        page = client.get(path, after=after)
        yield from page[name]
        ended = page["ended"]
        is_last = not page[name] or page["nextAfter"] == after
        after = page["nextAfter"]
        if ended or (is_last and not follow):
            return
        if is_last:
            time.sleep(_POLL_INTERVAL)


def _log_text(entry: Mapping[str, Any], *, with_job: bool) -> str:
    from callsheet.cli.printing import time_text

    job = f"{entry['jobId']} " if with_job else ""
    return f"{time_text(entry['at'])} {entry['level']:<7} {job}[{entry['attempt']}] {entry['message']}"


def _event_text(event: Mapping[str, Any]) -> str:
    from callsheet.cli.printing import time_text
    from callsheet.cli.progress import event_text

    verb = event["type"].partition(".")[2]
    text = event_text(verb, event.get("data") or {})
    detail = f": {text}" if text != verb else ""
    return f"{event['number']:>4} {time_text(event['at'])} {event.get('jobId') or '-'} {event['type']}{detail}"
