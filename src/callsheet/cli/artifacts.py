"""Commands for the files of an execution on a running server: `artifacts` and `download`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callsheet.cli.execution_filters import Since, Until
from callsheet.cli.execution_ids import ExecutionId, find_execution_id
from callsheet.cli.options import ApiKey, Json, Url

if TYPE_CHECKING:
    from callsheet.cli.remote import ApiClient

OptionalExecution = Annotated[
    str | None,
    typer.Argument(
        metavar="[EXECUTION]",
        help="Id of the execution, its first characters, or 'last'; without it: of all executions",
    ),
]
JobFilter = Annotated[
    str | None, typer.Option("--job", metavar="JOB", help="Only files of this job and its child jobs")
]
NameFilter = Annotated[
    str | None, typer.Option("--name", metavar="NAME", help="Only files with this name; * and ? match any characters")
]


def artifacts(
    execution_id: OptionalExecution = None,
    job: JobFilter = None,
    name: NameFilter = None,
    kind: Annotated[
        str | None, typer.Option(help="Without an execution: first part of the media type, such as video")
    ] = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="Without an execution: maximum number of files")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Without an execution: cursor of the next page")] = None,
    as_json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """List the files of an execution, or the newest of all, with URLs that work without a key for some minutes."""
    from callsheet.cli.printing import media_text, show_columns, show_json, size_text
    from callsheet.cli.remote import connect
    from callsheet.cli.time_options import moment

    if execution_id is None:
        query = {
            "name": name,
            "kind": kind,
            "createdAfter": moment(since) if since else None,
            "createdBefore": moment(until) if until else None,
            "limit": limit,
            "cursor": cursor,
        }
        if job is not None:
            raise typer.BadParameter("it needs an execution", param_hint="--job")
        _list_all(query, as_json=as_json, url=url, api_key=api_key)
        return
    if kind or since or until or cursor:
        raise typer.BadParameter("--kind, --since, --until and --cursor are for the list without an execution")
    with connect(url, api_key) as client:
        found = _find(client, execution_id, job, name)
    if as_json:
        show_json(found)
        return
    rows = [(a["job"], a["name"], size_text(a["size"]), media_text(a), a["url"]) for a in found]
    show_columns(("JOB", "FILE", "SIZE", "CONTENT", "URL"), rows)


def _list_all(query: dict[str, Any], *, as_json: bool, url: str | None, api_key: str | None) -> None:
    from callsheet.cli.printing import media_text, say, show_columns, show_json, size_text
    from callsheet.cli.remote import connect

    with connect(url, api_key) as client:
        page = client.get("/api/artifacts", **query)
    if as_json:
        show_json(page)
        return
    rows = [
        (a["executionId"], a["jobId"], a["name"], size_text(a["size"]), media_text(a), a["url"])
        for a in page["artifacts"]
    ]
    show_columns(("EXECUTION", "JOB", "FILE", "SIZE", "CONTENT", "URL"), rows)
    if page["nextCursor"]:
        say(f"More: callsheet artifacts --cursor {page['nextCursor']}")


def download(
    execution_id: ExecutionId,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", file_okay=False, help="Folder; created if missing")
    ] = Path(),
    job: JobFilter = None,
    name: NameFilter = None,
    as_json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Download the files of an execution to <job>/<name> in a folder.

    Every file is verified by its SHA-256 and appears complete or not at all. Run the command again to continue after a
    cut; files that are already there are not downloaded again. The files of a failed execution are downloaded, too.
    """
    from callsheet.cli.printing import say, show, show_json, size_text
    from callsheet.cli.remote import connect
    from callsheet.cli.transfer_bar import transfer_bar
    from callsheet.domain.records import StoredArtifact
    from callsheet.files.output_paths import output_paths

    with connect(url, api_key) as client:
        found = _find(client, execution_id, job, name)
        everything = _find(client, execution_id, None, None) if job or name else found
        paths = output_paths((a["artifactId"], a["job"], a["name"]) for a in everything)
        results = []
        for artifact in found:
            target = out / paths[artifact["artifactId"]]
            with transfer_bar(artifact["name"], artifact["size"]) as on_progress:
                record = StoredArtifact.model_validate(artifact, extra="ignore")
                downloaded = client.download_artifact(record, target, on_progress=on_progress)
            results.append({**artifact, "path": str(target), "downloaded": downloaded})
            if not as_json:
                show(str(target))
            if not downloaded:
                say(f"{target} is already there ({size_text(artifact['size'])})")
    if as_json:
        show_json(results)


def _find(client: "ApiClient", execution_id: str, job: str | None, name: str | None) -> list[dict[str, Any]]:
    """Return the artifacts of an execution, each with the id of its job in the plan as `job`.

    Raises NotFound if there is none.
    """
    from fnmatch import fnmatchcase

    from callsheet.cli.executions import job_of
    from callsheet.domain.errors import NotFound

    execution = client.get(f"/api/executions/{find_execution_id(client, execution_id)}")
    if job is not None:
        job_of(execution, job)
    found: list[dict[str, Any]] = [{"job": a["jobId"], **a} for a in execution["artifacts"]]
    if job is not None:
        found = [a for a in found if a["job"] == job or a["job"].startswith(f"{job}/")]
    if name is not None:
        found = [a for a in found if fnmatchcase(a["name"], name)]
    if not found:
        names = ", ".join(sorted({a["name"] for a in execution["artifacts"]})) or "none"
        raise NotFound(
            f"The execution is {execution['status']} and has no such files. Its files: {names}."
            if job or name
            else f"The execution is {execution['status']} and has no files."
        )
    return found
