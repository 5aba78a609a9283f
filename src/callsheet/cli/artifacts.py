"""Commands for the files of an execution on a running server: `artifacts` and `download`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callsheet.cli.execution_ids import ExecutionId, find_execution_id
from callsheet.cli.options import ApiKey, Json, Url

if TYPE_CHECKING:
    from callsheet.cli.remote import ApiClient

JobFilter = Annotated[
    str | None, typer.Option("--job", metavar="JOB", help="Only files of this job and its child jobs")
]
NameFilter = Annotated[
    str | None, typer.Option("--name", metavar="NAME", help="Only files with this name; * and ? match any characters")
]


def artifacts(
    execution_id: ExecutionId,
    job: JobFilter = None,
    name: NameFilter = None,
    as_json: Json = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """List the files of an execution, with URLs that work without a key for some minutes."""
    from callsheet.cli.printing import media_text, show_columns, show_json, size_text
    from callsheet.cli.remote import connect

    with connect(url, api_key) as client:
        found = _find(client, execution_id, job, name)
    if as_json:
        show_json(found)
        return
    rows = [(a["job"], a["name"], size_text(a["size"]), media_text(a), a["url"]) for a in found]
    show_columns(("JOB", "FILE", "SIZE", "CONTENT", "URL"), rows)


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
