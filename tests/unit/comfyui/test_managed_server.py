"""The managed server: started for a job, watched, stopped when idle."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image

from callsheet.comfyui.client import ComfyUIClient
from callsheet.comfyui.managed_server import ManagedServer
from callsheet.domain.errors import ConfigurationError, PromptLost, ProviderUnreachable
from callsheet.fakes.comfyui import running_comfyui
from callsheet.testing.waiters import until

from .conftest import JobRunner, stepping, workflow


def installed(folder: Path) -> Path:
    """A folder like that of ComfyUI, with the fake server as its program."""
    folder.mkdir(parents=True)
    (folder / "main.py").write_text("from callsheet.fakes.comfyui.program import main\nmain()\n")
    return folder


@pytest.fixture
def make(tmp_path: Path) -> Any:
    def make_runner(args: str = "", **more: Any) -> JobRunner:
        own = {"comfyui_path": installed(tmp_path / "ComfyUI"), "comfyui_python": Path(sys.executable)}
        return JobRunner(tmp_path, **{**own, "comfyui_args": args, "comfyui_start_timeout": 20, **more})

    return make_runner


@pytest.fixture(autouse=True)
async def no_process_is_left() -> AsyncIterator[None]:
    yield
    for task in asyncio.all_tasks():
        if task.get_name() in ("comfyui", "comfyui idle"):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    assert not [child for child in psutil.Process().children() if "main.py" in child.cmdline()]


def managed_server(runner: JobRunner) -> ManagedServer:
    managed = runner.pool.servers[0].managed
    assert managed is not None
    return managed


def processes() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "main.py" in child.cmdline()]


async def test_it_starts_for_the_first_job_and_serves_the_second(make: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FAL_KEY", "a secret")
    runner = make()
    assert processes() == []

    first = await runner.run(graph=workflow("image_tiny"))
    log = runner.log_text
    runner.new_job()
    second = await runner.run(graph=workflow("image_tiny"))

    assert len(first.images) == len(second.images) == 1
    assert first.server == "own"
    assert managed_server(runner).start_count == 1
    assert "To see the GUI go to" in log
    assert "[INFO]" in log and "\x1b" not in log
    [process] = processes()
    assert "FAL_KEY" not in process.environ()


async def test_a_process_whose_executor_has_ended_is_replaced(make: Any):
    runner = make("--end-executor")

    with pytest.raises(PromptLost, match=r"runs no prompts any more.*not supported between"):
        await runner.run(graph=workflow("image_tiny"))
    runner.new_job()
    with pytest.raises(PromptLost, match="runs no prompts any more"):
        await runner.run(graph=workflow("image_tiny"))

    assert managed_server(runner).start_count == 2


async def test_old_files_of_jobs_are_removed_and_used_ones_stay(make: Any, tmp_path: Path):
    base = tmp_path / "base"
    runner = make(comfyui_base_dir=base)
    Image.new("RGB", (40, 40)).save(tmp_path / "in.png")
    graph, files = workflow("image_load_scale_save"), {"1.image": str(tmp_path / "in.png")}
    first = await runner.run(graph=graph, files=files)
    [upload] = (base / "input/callsheet").iterdir()
    abandoned = base / "input/callsheet" / f"{'0' * 32}.png"
    abandoned.write_bytes(b"x")
    outputs = base / "output/callsheet" / first.prompt_id
    for path in (upload, abandoned, *outputs.iterdir(), outputs):
        os.utime(path, (0, 0))
    runner.new_job()
    await runner.run(graph=graph, files=files)
    assert (upload.stat().st_mtime > 0, abandoned.exists()) == (True, True)  # once an hour
    managed_server(runner)._next_cleaning = 0.0
    runner.new_job()
    await runner.run(graph=graph, files=files)

    assert (upload.exists(), abandoned.exists(), outputs.exists()) == (True, False, False)


async def test_it_uses_its_own_folders_and_a_loopback_port(make: Any, tmp_path: Path):
    runner = make(comfyui_base_dir=tmp_path / "models and more")
    await runner.run(graph=workflow("image_tiny"))

    args = processes()[0].cmdline()
    assert args[args.index("--base-directory") + 1] == str(tmp_path / "models and more")
    assert args[args.index("--listen") + 1] == "127.0.0.1"
    assert (tmp_path / "models and more" / "custom_nodes").is_dir()
    assert list((tmp_path / "models and more" / "output").rglob("*.png"))


async def test_when_it_is_killed_the_prompt_is_lost_and_the_next_run_starts_a_new_process(make: Any):
    runner = make()
    work = runner.start(graph=stepping())
    await until(lambda: "server 1" in runner.job.steps)
    await until(lambda: any(report.done > 0 for report in runner.job.progress_reports))
    os.kill(processes()[0].pid, signal.SIGKILL)

    with pytest.raises(
        PromptLost, match=r"exited with signal 9 \(.*memory ran out\); its last output: .*To see the GUI"
    ):
        await work

    assert len((await runner.run(graph=workflow("image_tiny"))).images) == 1
    assert managed_server(runner).start_count == 2


async def test_a_failed_start_is_reported_with_the_output(make: Any):
    runner = make("--break-at-start")

    with pytest.raises(ProviderUnreachable, match=r"exit status 3; its last output: .*no kernel image"):
        await runner.run(graph=workflow("image_tiny"))


async def test_an_unknown_flag_is_reported(make: Any):
    with pytest.raises(ProviderUnreachable, match=r"exit status 2; .*--no-such-flag"):
        await make("--no-such-flag").run(graph=workflow("image_tiny"))


async def test_a_slow_start_is_stopped(make: Any):
    runner = make("--start-seconds 30", comfyui_start_timeout=0.8)

    with pytest.raises(ProviderUnreachable, match=r"within 0\.8 s"):
        await runner.run(graph=workflow("image_tiny"))
    assert processes() == []


async def test_another_server_on_the_same_port_is_not_used(make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with running_comfyui(tmp_path / "foreign") as foreign:
        port = int(foreign.url.rpartition(":")[2])
        monkeypatch.setattr("callsheet.comfyui.server_command.free_port", lambda: port)

        with pytest.raises(ProviderUnreachable, match="address already in use"):
            await make("--start-seconds 0.5").run(graph=workflow("image_tiny"))
        assert foreign.accepted == []


async def test_a_folder_without_comfyui_is_reported(tmp_path: Path):
    runner = JobRunner(tmp_path, comfyui_path=tmp_path / "nothing")

    with pytest.raises(ConfigurationError, match=r"main\.py is missing"):
        await runner.run(graph=workflow("image_tiny"))


async def test_when_idle_it_frees_its_memory_and_then_stops(make: Any, monkeypatch: pytest.MonkeyPatch):
    freed = []

    async def free(client: ComfyUIClient) -> None:
        freed.append(client.url)
        await real(client)

    real = ComfyUIClient.free_memory
    monkeypatch.setattr(ComfyUIClient, "free_memory", free)
    runner = make(comfyui_free_after=0.1, comfyui_stop_after=0.4)
    await runner.run(graph=workflow("image_tiny"))

    await until(lambda: freed)
    await until(lambda: managed_server(runner).process is None)
    assert processes() == []


async def test_closing_the_pool_stops_it(make: Any):
    runner = make()
    await runner.run(graph=workflow("image_tiny"))
    await runner.pool.close()

    assert processes() == []


async def test_closing_an_unused_pool_does_nothing(make: Any):
    await make(comfyui_api_url="not a url://").pool.close()

    assert processes() == []


async def test_a_node_that_cannot_be_interrupted_ends_with_the_process(make: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("callsheet.operations.comfyui.prompt_run._CANCEL_TIMEOUT", 0.3)
    runner = make()
    work = runner.start(graph=stepping(kind="Stuck"))
    await until(lambda: any(report.done > 0 for report in runner.job.progress_reports))
    work.cancel("cancelled")

    await asyncio.gather(work, return_exceptions=True)

    assert processes() == []


async def test_a_job_stopped_during_the_start_leaves_no_process(make: Any):
    runner = make("--start-seconds 30")
    work = runner.start(graph=workflow("image_tiny"))
    await until(processes)
    work.cancel("stopping")

    await asyncio.gather(work, return_exceptions=True)

    assert processes() == []


async def test_a_server_that_accepts_prompts_and_runs_none_is_stopped(make: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("callsheet.comfyui.server_monitor._IDLE_SECONDS", 0.2)
    runner = make("--never-run")

    with pytest.raises(ProviderUnreachable, match="runs none"):
        await runner.run(graph=workflow("image_tiny"))
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
    print("running", flush=True)
    if sys.argv[2] == "wait":
        await work

asyncio.run(main())
"""


@pytest.mark.parametrize("how", ["killed", "ended"])
async def test_it_does_not_outlive_the_worker(tmp_path: Path, how: str):
    installed(tmp_path / "ComfyUI")
    args = [sys.executable, "-c", WORKER, str(tmp_path), "wait" if how == "killed" else "end"]
    worker = await asyncio.create_subprocess_exec(*args, stdout=asyncio.subprocess.PIPE)
    assert worker.stdout is not None
    try:
        async with asyncio.timeout(30):
            while await worker.stdout.readline() != b"running\n":
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
