import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from callsheet.comfyui.pool import Pool
from callsheet.fakes.comfyui import FakeComfyUI, running_comfyui
from callsheet.operations.comfyui.operation import comfyui
from callsheet.operations.comfyui.params import ComfyUIParams
from callsheet.operations.comfyui.results import ComfyUIResult
from callsheet.settings import Settings
from callsheet.testing.context import RecordingContext

WORKFLOWS = Path(__file__).parent / "workflows"
TIMEOUT = 15.0


def workflow(name: str) -> dict[str, Any]:
    """One of the graphs that were measured on a real server."""
    graph: dict[str, Any] = json.loads((WORKFLOWS / f"{name}.json").read_text())
    return graph


def stepping(steps: int = 4, kind: str = "Step") -> dict[str, Any]:
    """An image, a node that waits for the test, and a saved file."""
    graph = workflow("image_tiny")
    more = {"steps": steps} if kind == "Step" else {}
    graph["5"] = {"class_type": kind, "inputs": {"image": ["1", 0], **more}}
    graph["2"]["inputs"]["images"] = ["5", 0]
    return graph


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[FakeComfyUI]:
    async with running_comfyui(tmp_path / "server") as running:
        yield running


class JobRunner:
    """Runs jobs of the operation. All its jobs share one pool of servers, as in a worker."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        quick = {"comfyui_poll_interval": 0.2, "comfyui_timeout": 5, "source_roots": [folder], "output_patience": 0}
        self.settings = Settings(_env_file=None, data_dir=folder / "data", **{**quick, **settings})
        self.pool = Pool(self.settings)
        self.job = self.new_job()

    def new_job(self, folder: str = "job") -> RecordingContext:
        self.job = RecordingContext(
            self.folder / folder, operation="comfyui", settings=self.settings, comfyui=self.pool
        )
        return self.job

    async def run(self, **params: Any) -> ComfyUIResult:
        async with asyncio.timeout(TIMEOUT):
            result = await comfyui.run(self.job, ComfyUIParams(**params))
        assert isinstance(result, ComfyUIResult)
        return result

    def start(self, **params: Any) -> asyncio.Task[ComfyUIResult]:
        return asyncio.create_task(self.run(**params))

    @property
    def progress(self) -> list[float]:
        return [report.done for report in self.job.progress_reports]

    @property
    def log_text(self) -> str:
        return "\n".join(str(line["message"]) for line in self.job.logs)


@pytest.fixture
def runner_for(tmp_path: Path) -> Callable[..., JobRunner]:
    def make(*servers: FakeComfyUI, **settings: Any) -> JobRunner:
        urls = ",".join(server.url for server in servers)
        return JobRunner(tmp_path, **({"comfyui_api_url": urls} if urls else {}), **settings)

    return make


@pytest.fixture
def runner(server: FakeComfyUI, runner_for: Callable[..., JobRunner]) -> JobRunner:
    return runner_for(server)


async def reached(server: FakeComfyUI) -> str:
    """Wait until a node waits for the test, and return its id."""
    async with asyncio.timeout(TIMEOUT):
        return await server.executor.reached_nodes.get()
