"""A ComfyUI of our own: started when needed, watched, and gone when nobody needs it."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from callsheet.comfyui.client import ComfyUI
from callsheet.comfyui.managed_server import ManagedServer
from callsheet.comfyui.pool import pool_of
from callsheet.domain.errors import ConfigurationError, PromptLost, ProviderUnreachable
from callsheet.fakes.comfyui import running_comfyui
from callsheet.testing.waiters import until

from .conftest import Desk, stepping, workflow


def installed(folder: Path) -> Path:
    """A folder that looks like ComfyUI's, with the stand-in in it."""
    folder.mkdir(parents=True)
    (folder / "main.py").write_text("from callsheet.fakes.comfyui.program import main\nmain()\n")
    return folder


@pytest.fixture
def make(tmp_path: Path) -> Any:
    def desk(args: str = "", **more: Any) -> Desk:
        own = {"comfyui_path": installed(tmp_path / "ComfyUI"), "comfyui_python": Path(sys.executable)}
        return Desk(tmp_path, **{**own, "comfyui_args": args, "comfyui_start_timeout": 20, **more})

    return desk


@pytest.fixture(autouse=True)
async def nothing_is_left() -> AsyncIterator[None]:
    yield
    for task in asyncio.all_tasks():
        if task.get_name() in ("comfyui", "comfyui idle"):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    assert not [child for child in psutil.Process().children() if "main.py" in child.cmdline()]


def child_of(desk: Desk) -> ManagedServer:
    child = pool_of(desk.settings).servers[0].child
    assert child is not None
    return child


def processes() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "main.py" in child.cmdline()]


async def test_it_starts_for_the_first_job_serves_the_second_and_its_log_is_the_jobs(
    make: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FAL_KEY", "a secret of ours")
    desk = make()
    assert processes() == []

    first = await desk.run(graph=workflow("image_tiny"))
    told = desk.told
    desk.new_job()
    second = await desk.run(graph=workflow("image_tiny"))

    assert len(first.images) == len(second.images) == 1
    assert first.server == "own"
    assert child_of(desk).starts == 1
    assert "To see the GUI go to" in told
    [process] = processes()
    assert "FAL_KEY" not in process.environ()


async def test_it_has_folders_of_its_own_and_a_private_port(make: Any, tmp_path: Path):
    desk = make(comfyui_base_dir=tmp_path / "models and more")
    await desk.run(graph=workflow("image_tiny"))

    words = processes()[0].cmdline()
    assert words[words.index("--base-directory") + 1] == str(tmp_path / "models and more")
    assert words[words.index("--listen") + 1] == "127.0.0.1"
    assert (tmp_path / "models and more" / "custom_nodes").is_dir()
    assert list((tmp_path / "models and more" / "output").rglob("*.png"))


async def test_one_that_dies_loses_its_prompt_with_the_reason_and_the_next_run_has_a_new_one(make: Any):
    desk = make()
    work = desk.start(graph=stepping())
    await until(lambda: "server 1" in desk.job.steps)
    await until(lambda: any(report.done > 0 for report in desk.job.progress_reports))
    os.kill(processes()[0].pid, signal.SIGKILL)

    with pytest.raises(PromptLost, match=r"ended with signal 9 \(.*memory ran out\); it said last: .*To see the GUI"):
        await work

    assert len((await desk.run(graph=workflow("image_tiny"))).images) == 1
    assert child_of(desk).starts == 2


async def test_one_that_cannot_start_tells_why(make: Any):
    desk = make("--break-at-start")

    with pytest.raises(ProviderUnreachable, match=r"exit status 3; it said last: .*no kernel image"):
        await desk.run(graph=workflow("image_tiny"))


async def test_a_flag_that_it_does_not_know_is_told(make: Any):
    with pytest.raises(ProviderUnreachable, match=r"exit status 2; .*--no-such-flag"):
        await make("--no-such-flag").run(graph=workflow("image_tiny"))


async def test_one_that_takes_too_long_to_start_is_ended(make: Any):
    desk = make("--start-seconds 30", comfyui_start_timeout=0.8)

    with pytest.raises(ProviderUnreachable, match=r"within 0\.8 s"):
        await desk.run(graph=workflow("image_tiny"))
    assert processes() == []


async def test_another_server_on_the_same_port_is_not_taken_for_it(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with running_comfyui(tmp_path / "foreign") as foreign:
        port = int(foreign.url.rpartition(":")[2])
        monkeypatch.setattr("callsheet.comfyui.managed_server._free_port", lambda: port)

        with pytest.raises(ProviderUnreachable, match="address already in use"):
            await make("--start-seconds 0.5").run(graph=workflow("image_tiny"))
        assert foreign.accepted == []


async def test_a_folder_without_it_is_told(tmp_path: Path):
    desk = Desk(tmp_path, comfyui_path=tmp_path / "nothing")

    with pytest.raises(ConfigurationError, match=r"main\.py is missing"):
        await desk.run(graph=workflow("image_tiny"))


async def test_when_idle_its_memory_is_freed_and_then_it_is_ended(make: Any, monkeypatch: pytest.MonkeyPatch):
    freed = []

    async def free(comfy: ComfyUI) -> None:
        freed.append(comfy.url)
        await real(comfy)

    real = ComfyUI.free
    monkeypatch.setattr(ComfyUI, "free", free)
    desk = make(comfyui_free_after=0.1, comfyui_stop_after=0.4)
    await desk.run(graph=workflow("image_tiny"))

    await until(lambda: freed)
    await until(lambda: child_of(desk).process is None)
    assert processes() == []


async def test_a_node_that_cannot_be_stopped_ends_with_its_process(make: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("callsheet.operations.comfyui.prompt_run._STOP_SECONDS", 0.3)
    desk = make()
    work = desk.start(graph=stepping(kind="Stuck"))
    await until(lambda: any(report.done > 0 for report in desk.job.progress_reports))
    work.cancel("cancelled")

    await asyncio.gather(work, return_exceptions=True)

    assert processes() == []


async def test_a_job_that_is_stopped_while_it_starts_leaves_no_process(make: Any):
    desk = make("--start-seconds 30")
    work = desk.start(graph=workflow("image_tiny"))
    await until(processes)
    work.cancel("stopping")

    await asyncio.gather(work, return_exceptions=True)

    assert processes() == []


async def test_one_that_takes_prompts_and_runs_none_is_ended_so_that_the_next_job_has_another(
    make: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("callsheet.comfyui.prompt_tracker._IDLE_SECONDS", 0.2)
    desk = make("--never-run")

    with pytest.raises(ProviderUnreachable, match="runs none"):
        await desk.run(graph=workflow("image_tiny"))
    assert processes() == []


WORKER = """
import asyncio, sys
from pathlib import Path
from callsheet.operations.comfyui.operation import ComfyUIParams, comfyui
from callsheet.settings import Settings
from callsheet.testing.context import RecordingContext

folder = Path(sys.argv[1])
settings = Settings(
    _env_file=None, data_dir=folder / "data", comfyui_path=folder / "ComfyUI", comfyui_python=sys.executable
)
graph = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
    "2": {"class_type": "Stuck", "inputs": {"image": ["1", 0]}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "x"}},
}

async def main():
    job = RecordingContext(folder / "job", settings=settings)
    work = asyncio.create_task(comfyui.run(job, ComfyUIParams(graph=graph)))
    while not any(report.done > 0 for report in job.progress_reports):
        await asyncio.sleep(0.05)
    print("at work", flush=True)
    if sys.argv[2] == "wait":
        await work

asyncio.run(main())
"""


@pytest.mark.parametrize("how", ["killed", "ended"])
async def test_it_does_not_outlive_its_worker(tmp_path: Path, how: str):
    installed(tmp_path / "ComfyUI")
    words = [sys.executable, "-c", WORKER, str(tmp_path), "wait" if how == "killed" else "end"]
    worker = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
    assert worker.stdout is not None
    try:
        async with asyncio.timeout(30):
            while await worker.stdout.readline() != b"at work\n":
                assert worker.returncode is None
        children = psutil.Process(worker.pid).children() if how == "killed" else []
        assert (len(children) == 1) == (how == "killed")
    finally:
        if how == "killed":
            worker.kill()
        await asyncio.wait_for(worker.wait(), 30)

    await until(lambda: not [each for each in psutil.process_iter(["cmdline"]) if _is_of(each, tmp_path)])


def _is_of(process: psutil.Process, folder: Path) -> bool:
    return any(str(folder) in word for word in process.info["cmdline"] or ())
