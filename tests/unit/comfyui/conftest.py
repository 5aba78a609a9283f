import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from callsheet.fakes.comfyui import FakeComfyUI, running_comfyui
from callsheet.operations.comfyui.operation import ComfyUIParams, ComfyUIResult, comfyui
from callsheet.settings import Settings
from callsheet.testing.context import RecordingContext

WORKFLOWS = Path(__file__).parent / "workflows"
PATIENCE = 15.0


def workflow(name: str) -> dict[str, Any]:
    """One of the graphs that a real server was measured with."""
    graph: dict[str, Any] = json.loads((WORKFLOWS / f"{name}.json").read_text())
    return graph


def stepping(steps: int = 4, kind: str = "Step") -> dict[str, Any]:
    """A picture, a node that waits for the test, and a file in the end."""
    graph = workflow("image_tiny")
    more = {"steps": steps} if kind == "Step" else {}
    graph["5"] = {"class_type": kind, "inputs": {"image": ["1", 0], **more}}
    graph["2"]["inputs"]["images"] = ["5", 0]
    return graph


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[FakeComfyUI]:
    async with running_comfyui(tmp_path / "server") as running:
        yield running


class Desk:
    """Gives jobs to the operation, and looks after them while they run."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        quick = {"comfyui_poll_interval": 0.2, "comfyui_timeout": 5, "source_roots": [folder]}
        self.settings = Settings(_env_file=None, data_dir=folder / "data", **{**quick, **settings})
        self.job = self.new_job()

    def new_job(self) -> RecordingContext:
        self.job = RecordingContext(self.folder / "job", operation="comfyui", settings=self.settings)
        return self.job

    async def run(self, **params: Any) -> ComfyUIResult:
        async with asyncio.timeout(PATIENCE):
            result = await comfyui.run(self.job, ComfyUIParams(**params))
        assert isinstance(result, ComfyUIResult)
        return result

    def start(self, **params: Any) -> asyncio.Task[ComfyUIResult]:
        return asyncio.create_task(self.run(**params))

    @property
    def shares(self) -> list[float]:
        return [report.done for report in self.job.progress_reports]

    @property
    def told(self) -> str:
        return "\n".join(str(line["message"]) for line in self.job.logs)


@pytest.fixture
def desk_for(tmp_path: Path) -> Callable[..., Desk]:
    def make(*servers: FakeComfyUI, **settings: Any) -> Desk:
        urls = ",".join(server.url for server in servers)
        return Desk(tmp_path, **({"comfyui_api_url": urls} if urls else {}), **settings)

    return make


@pytest.fixture
def desk(server: FakeComfyUI, desk_for: Callable[..., Desk]) -> Desk:
    return desk_for(server)


async def reached(server: FakeComfyUI) -> str:
    """Wait until a node waits for the test."""
    async with asyncio.timeout(PATIENCE):
        return await server.executor.reached.get()
