"""Client of the enhancement script."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from callsheet.domain.errors import ConfigurationError, DiskFull, FFmpegFailed, JobError
from callsheet.media.enhancement.requests import (
    EncodeRequest,
    ExtractRequest,
    ImageRequest,
    InterpolateRequest,
    JoinRequest,
    ListingRequest,
    Request,
    Runtime,
    UpscaleRequest,
)
from callsheet.media.ffmpeg.sandbox import Sandbox, script_access
from callsheet.processes.child import ProcessLimits, child_environment
from callsheet.processes.json_script import run_script

_SCRIPT = Path(__file__).with_name("script.py")
_KINDS: dict[type[Any], str] = {
    ListingRequest: "list",
    UpscaleRequest: "upscale",
    InterpolateRequest: "interpolate",
    ExtractRequest: "extract",
    EncodeRequest: "encode",
    ImageRequest: "image",
    JoinRequest: "join",
}
_PACKAGES: dict[Runtime, tuple[str, ...]] = {"ncnn": ("ncnn",), "onnx": ("onnxruntime", "onnxruntime-gpu")}
_MODULES: dict[Runtime, str] = {"ncnn": "ncnn", "onnx": "onnxruntime"}
INSTALL_WITH = "pip install 'callsheet[upscale]'"


def installed_runtimes() -> list[Runtime]:
    """Return the runtimes of models that are installed here."""
    return [runtime for runtime, module in _MODULES.items() if find_spec(module) is not None]


def runtime_version(runtime: Runtime) -> str:
    """Return the name and version of a runtime. Raises ConfigurationError if it is not installed."""
    for package in _PACKAGES[runtime]:
        try:
            return f"{package} {version(package)}"
        except PackageNotFoundError:
            continue
    raise ConfigurationError(f"{_MODULES[runtime]}, which runs this model, is not installed: {INSTALL_WITH}")


Message = dict[str, Any]


async def enhance(
    request: Request,
    folder: Path,
    *,
    sandbox: Sandbox,
    limits: ProcessLimits,
    on_message: Callable[[Message], Awaitable[None]] | None = None,
) -> list[Message]:
    """Run a request in a child process, and return its messages without those of progress (`done`).

    Each message is passed to `on_message` as it arrives; the next one waits for it. The script can read the files of
    the request, and write to `folder`. The process is killed when the call ends, fails or is cancelled.

    Raises FFmpegFailed if the file cannot be decoded, JobError if the model cannot be used, DiskFull.
    """
    arrived: asyncio.Queue[Message | None] = asyncio.Queue()
    running = asyncio.create_task(_run(request, folder, arrived, sandbox, limits))
    kept: list[Message] = []
    try:
        while (message := await arrived.get()) is not None:
            if "done" not in message:
                kept.append(message)
            if on_message is not None:
                await on_message(message)
        await running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return kept


async def _run(
    request: Request, folder: Path, arrived: "asyncio.Queue[Message | None]", sandbox: Sandbox, limits: ProcessLimits
) -> None:
    last: Message = {}

    def read(message: Message) -> None:
        nonlocal last
        last = message
        if not {"error", "complete"} & message.keys():
            arrived.put_nowait(message)

    try:
        access = script_access(sandbox, read=_files(request), write=[folder])
        kind = _KINDS[type(request)]
        environment = child_environment(OMP_NUM_THREADS="1", OMP_WAIT_POLICY="passive")
        result = await run_script(
            _SCRIPT, {kind: asdict(request)}, read, cwd=folder, env=environment, limits=limits, access=access
        )
        if "error" in last:
            raise (DiskFull if last.get("disk_full") else JobError)(f"{_name(request)}: {last['error']}")
        if result.code > 0:
            raise JobError(f"{_name(request)}: the process stopped: {result.error}")
        if "complete" not in last:
            raise FFmpegFailed(f"{_name(request)}: the process crashed ({result.error})")
    finally:
        arrived.put_nowait(None)


def _source(request: Request) -> Path:
    return Path(request.source.path if isinstance(request, ImageRequest) else request.source.file.path)


def _files(request: Request) -> list[Path]:
    if isinstance(request, JoinRequest | ExtractRequest):
        return [_source(request)]
    if isinstance(request, EncodeRequest):
        return [Path(path) for path in request.files]
    if request.model is None:
        return [_source(request)]
    faces = getattr(request, "faces", None)
    models = [request.model, *((faces.detector, faces.restorer) if faces is not None else ())]
    weights = [Path(path) for model in models for path in (model.weights, model.graph) if path]
    # An ONNX file may have its weights in a file beside it.
    return [_source(request), *weights, *(Path(f"{path}.data") for path in weights)]


def _name(request: Request) -> str:
    return f"'{_source(request).name}'"
