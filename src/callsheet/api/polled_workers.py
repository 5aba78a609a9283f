"""Polled workers: hand out jobs of the queue `comfyui` over HTTP, and receive their results."""

import asyncio
import secrets
import tempfile
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import Field

from callsheet.api.dependencies import RuntimeDep
from callsheet.api.problems import problem_responses
from callsheet.comfyui.graph import set_input
from callsheet.domain.document_limits import DocumentError
from callsheet.domain.errors import BadInput, BadParams, BadSource, CallsheetError, Problem, ProviderFailed
from callsheet.domain.media_source import SourceKind
from callsheet.domain.model import Model
from callsheet.domain.plan_validation import validate_params
from callsheet.engine.submissions.input_urls import input_url
from callsheet.engine.worker.polled_worker import PolledWorkers, ReceivedFile, task_run
from callsheet.files.base64_bodies import Base64Text, decode_base64, read_with_base64
from callsheet.files.fetch import fetch
from callsheet.files.object_keys import safe_name
from callsheet.files.scratch_folders import own_scratch_folder
from callsheet.operations.comfyui.params import ComfyUIParams
from callsheet.operations.comfyui.prepare import GraphFile
from callsheet.wiring import Runtime

router = APIRouter(tags=["polled workers"])

_RENEWED_LEASE = 60.0
"""Seconds of a lease after its first renewal: a worker that renews it is noticed early when it dies."""
_MAX_FILES = 1000

_ID = "019ab1f0-3333-7000-8000-000000000003-1"
_BASE = "https://callsheet.example.com"
_TASK_EXAMPLE = {
    "id": _ID,
    "job_id": _ID,
    "original_image_url": "https://example.com/photo.jpg",
    "prompt": "",
    "callback_url": f"{_BASE}/api/i2v-webhook/{_ID}",
    "workflow": {"1": {"class_type": "LoadImage", "inputs": {"image": f"{_ID}.png"}}},
    "files": {"1.image": "https://example.com/photo.jpg"},
    "lease": {"seconds": 1800.0, "url": f"{_BASE}/api/worker/task/{_ID}/lease"},
}
_RESULT_EXAMPLE = {
    "id": _ID,
    "status": "COMPLETED",
    "files": [{"filename": "film.mp4", "type": "s3_url", "data": "https://example.com/film.mp4"}],
}
_RESULT_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"type": "object"}, "example": _RESULT_EXAMPLE}},
    }
}


def _example(description: str, value: Any) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"example": value}}}


class Lease(Model):
    """The lease of a task."""

    seconds: float = Field(description="Time until the job is given to another worker, unless the lease is renewed")
    url: str = Field(description="POST to this URL renews the lease")


class WorkerTask(Model):
    """A task for a polled worker."""

    id: str = Field(description="Id of the job record and its epoch: another one for each run of a job")
    job_id: str = Field(serialization_alias="job_id")
    original_image_url: str | None = Field(serialization_alias="original_image_url", description="The first input file")
    prompt: str = Field(description="Empty: the workflow contains the prompt")
    callback_url: str = Field(serialization_alias="callback_url", description="POST the result to this URL")
    workflow: dict[str, Any] = Field(description="Graph in the API format of ComfyUI; the first file is `<id>.png`")
    files: dict[str, str] = Field(description="Input files: field of the graph → URL")
    lease: Lease


class RenewedLease(Model):
    """A renewed lease."""

    seconds: float
    cancelled: bool = Field(description="Stop: the job was cancelled")


class TaskReceipt(Model):
    """Confirms that a result was stored."""

    received: bool = True


@router.get(
    "/api/worker/task",
    name="take_task",
    summary="Take a task",
    response_model=WorkerTask,
    responses={
        **problem_responses(),
        200: _example("A task", _TASK_EXAMPLE),
        204: {"description": "No job is ready"},
    },
)
async def take_task(request: Request, runtime: RuntimeDep) -> Any:
    """Claim the oldest ready job of the queue `comfyui`, and return it. 204: no job is ready."""
    workers = _workers(runtime)
    host = request.client.host if request.client else "unknown"
    base = runtime.settings.public_url or str(request.base_url)
    while (taken := await workers.take(host)) is not None:
        job, params = taken
        try:
            return await _task(runtime, f"{job.id}-{job.epoch}", params, base.rstrip("/"))
        except CallsheetError as error:
            await workers.fail(job.id, job.epoch, error)
    return Response(status_code=204)


@router.post(
    "/api/worker/task/{task}/lease",
    name="renew_lease",
    summary="Renew a lease",
    responses={**problem_responses(404, 409), 200: _example("Renewed", {"seconds": 60.0, "cancelled": False})},
)
async def renew_lease(task: str, runtime: RuntimeDep) -> RenewedLease:
    """Renew the lease of a task. 409: the task has ended, or was given to another worker."""
    cancelled = await _workers(runtime).renew(*task_run(task), _RENEWED_LEASE)
    return RenewedLease(seconds=_RENEWED_LEASE, cancelled=cancelled)


@router.post(
    "/api/i2v-webhook/{task}",
    name="receive_task_result",
    summary="Receive the result of a task",
    responses={**problem_responses(404, 409, 413, 422), 200: _example("Stored", {"received": True})},
    openapi_extra=_RESULT_BODY,
)
async def receive_task_result(task: str, request: Request, runtime: RuntimeDep) -> TaskReceipt:
    """Receive `COMPLETED` with files (URLs or base64), or `FAILED` with an error. A late or second result gets 409."""
    workers, run = _workers(runtime), task_run(task)
    await workers.find(*run)
    work_dir = own_scratch_folder(runtime.settings.scratch_dir)
    with tempfile.TemporaryDirectory(prefix="result-", dir=work_dir, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        body = await _read_result(request, folder / "body.json")
        if body["status"] == "FAILED":
            message = body.get("error") or "The polled worker reported no reason."
            await workers.fail(*run, ProviderFailed(str(message)[:2000]))
        else:
            await workers.succeed(*run, await _receive_files(runtime, body.get("files") or [], folder))
    return TaskReceipt()


def _workers(runtime: Runtime) -> PolledWorkers:
    return PolledWorkers(runtime.database, runtime.storage, runtime.settings)


async def _task(runtime: Runtime, id: str, given: dict[str, Any], base: str) -> WorkerTask:
    params = ComfyUIParams.model_validate(validate_params(given, ComfyUIParams).model_dump())
    prepared = await asyncio.to_thread(params.prepare, runtime.settings)
    graph, urls = prepared.graph, {}
    for number, file in enumerate(prepared.files):
        url = await _url_of(runtime, file, base)
        for field in file.fields:
            urls[field] = url
            set_input(graph, field, f"{id}.png" if number == 0 else f"{id}-{number + 1}.png")
    return WorkerTask(
        id=id,
        job_id=id,
        original_image_url=next(iter(urls.values()), None),
        prompt="",
        callback_url=f"{base}/api/i2v-webhook/{id}",
        workflow=graph,
        files=urls,
        lease=Lease(
            seconds=runtime.settings.polled_worker_lease.total_seconds(), url=f"{base}/api/worker/task/{id}/lease"
        ),
    )


async def _url_of(runtime: Runtime, file: GraphFile, base: str) -> str:
    if file.source.kind in (SourceKind.URL, SourceKind.DATA):
        return str(file.source.root)
    url = await input_url(
        file.source, public_url=base, settings=runtime.settings, storage=runtime.storage, database=runtime.database
    )
    if url is None:
        raise BadSource(f"{file.param} has no URL that a polled worker can reach")
    return url


async def _read_result(request: Request, path: Path) -> dict[str, Any]:
    with path.open("wb") as file:
        async for chunk in request.stream():
            await asyncio.to_thread(file.write, chunk)
    try:
        body = await asyncio.to_thread(read_with_base64, path, secrets.token_hex(16))
    except DocumentError as error:
        raise BadInput(f"The result is not valid JSON: {error}") from None
    problems = _problems(body)
    if problems:
        raise BadParams(problems, "The result is invalid")
    checked: dict[str, Any] = body
    return checked


def _problems(body: Any) -> list[Problem]:
    if not isinstance(body, dict):
        return [Problem("", "wrong_type", "must be a JSON object")]
    problems = []
    if body.get("status") not in ("COMPLETED", "FAILED"):
        problems.append(Problem("status", "bad_value", f"must be COMPLETED or FAILED, not {body.get('status')!r:.80}"))
    files = body.get("files")
    if files is not None and (not isinstance(files, list) or len(files) > _MAX_FILES):
        problems.append(Problem("files", "wrong_type", f"must be an array of at most {_MAX_FILES} files"))
    elif body.get("status") == "COMPLETED" and not files:
        problems.append(Problem("files", "missing", "a completed task has at least one file"))
    for number, file in enumerate(files if isinstance(files, list) else ()):
        data = _data_of(file)
        if not isinstance(data, str | Base64Text) or not data:
            problems.append(Problem(f"files[{number}].data", "missing", "must be base64 or a URL"))
    return problems


def _data_of(file: Any) -> Any:
    return (file.get("data") or file.get("url")) if isinstance(file, dict) else None


async def _receive_files(runtime: Runtime, files: list[dict[str, Any]], folder: Path) -> list[ReceivedFile]:
    received = []
    for number, file in enumerate(files):
        name, data = file.get("filename"), _data_of(file)
        path = folder / f"file-{number}"
        fetched = None
        if isinstance(data, Base64Text):
            await asyncio.to_thread(data.decode_to, path)
        elif data.startswith(("http://", "https://")):
            fetched = (await fetch(data, path, runtime.settings)).name
        else:
            content = await asyncio.to_thread(decode_base64, data.rpartition(",")[2].encode())
            await asyncio.to_thread(path.write_bytes, content)
        final = (
            folder / f"{number}" / safe_name(name if isinstance(name, str) and name else fetched or f"file-{number}")
        )
        final.parent.mkdir()
        received.append(ReceivedFile(path.rename(final), final.name))
    return received
