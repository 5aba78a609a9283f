"""The commands of `callsheet comfyui`."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from anyio import from_thread
from typer.testing import CliRunner, Result

from callsheet.cli.app import app
from callsheet.cli.diagnostics.comfyui import comfyui as check_comfyui
from callsheet.cli.diagnostics.installation import Installation
from callsheet.comfyui.health import check_servers
from callsheet.comfyui.pool import Pool
from callsheet.fakes.comfyui import running_comfyui
from callsheet.fakes.comfyui.fake_server import VERSION
from callsheet.settings import Settings

GRAPH = {"1": {"class_type": "PrimitiveString", "inputs": {"value": "hello"}}}
LOADER = {"class_type": "LoadImage", "inputs": {"image": "any.png"}}
TEMPLATES = Path(__file__).parents[3] / "src/callsheet/comfyui/templates"
INPUTS = "description: Shows a text\ninputs:\n  text: {to: 1.value, type: string}\n"


@pytest.fixture(autouse=True)
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "say.json").write_text(json.dumps(GRAPH))
    (tmp_path / "say.inputs.yaml").write_text(INPUTS)
    (tmp_path / "broken.json").write_text("{")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CALLSHEET_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("CALLSHEET_COMFYUI_WORKFLOWS", str(tmp_path))
    monkeypatch.setenv("COMFYUI_API_URL", "http://127.0.0.1:9#name=gpu1&tags=wan")


def callsheet(*args: str) -> Result:
    return CliRunner().invoke(app, ["comfyui", *args])


def listed() -> dict:
    return json.loads(callsheet("list", "--json").stdout)


def test_servers_and_workflows_are_listed_with_their_problems():
    listing = listed()

    [server] = listing["servers"]
    assert (server["name"], server["state"], server["tags"]) == ("gpu1", "unreachable", ["wan"])
    assert "does not respond" in server["reason"]
    workflows = {workflow["name"]: workflow for workflow in listing["workflows"]}
    broken, shown = workflows["broken"], workflows["say"]
    assert "not JSON" in broken["remark"]
    assert shown["inputs"]["properties"]["text"]["default"] == "hello"


async def test_a_server_without_a_websocket_is_reported(tmp_path, monkeypatch):
    async with running_comfyui(tmp_path / "server") as server:
        server.refuse_websockets = True
        settings = Settings(_env_file=None, data_dir=tmp_path / "data", comfyui_api_url=server.url)
        async with Pool(settings) as pool:
            [health] = await check_servers(pool)
        findings = [finding async for finding in check_comfyui(Installation(settings))]

    assert (health.state, health.version) == ("reachable", VERSION)
    assert health.reason == "its websocket cannot be reached (status 403): jobs run without progress"
    assert any(each.level == "warning" and "jobs run without progress" in each.message for each in findings)


def test_the_list_is_a_table_by_default():
    result = callsheet("list")

    assert result.exit_code == 0
    assert "gpu1" in result.stdout
    assert "text?" in result.stdout


def test_a_server_is_drained_and_resumed():
    assert callsheet("drain", "gpu1").exit_code == 0
    assert listed()["servers"][0]["state"] == "drained"
    assert callsheet("resume", "gpu1").exit_code == 0
    assert listed()["servers"][0]["state"] == "unreachable"


def test_old_files_of_jobs_are_removed_and_nothing_else(tmp_path):
    base = tmp_path / "ComfyUI"
    prompt, upload = "0b54e1ae-3fa2-4c50-9f4e-000000000001", "0" * 32 + ".png"
    old = [base / f"output/callsheet/{prompt}/a.png", base / f"input/callsheet/{upload}"]
    young = base / "output/callsheet/0b54e1ae-3fa2-4c50-9f4e-000000000002/b.png"
    foreign = [base / "output/ComfyUI_00001_.png", base / "input/callsheet/mine.png", base / "output/callsheet/x/c.png"]
    for path in (*old, young, *foreign):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("12345")
        if path is not young:
            os.utime(path, (0, 0))
            os.utime(path.parent, (0, 0))
    (base / "output/callsheet/0b54e1ae-3fa2-4c50-9f4e-000000000003").symlink_to(tmp_path)

    shown = json.loads(callsheet("clean", str(base), "--dry-run", "--json").stdout)
    assert [each["path"] for each in shown["files"]] == [str(old[0].parent), str(old[1])]
    assert all(path.exists() for path in old)
    result = callsheet("clean", str(base), "--older-than", "2h")

    assert result.exit_code == 0
    assert not any(path.exists() for path in old)
    assert all(path.exists() for path in (young, *foreign))


@pytest.mark.parametrize("args", [("nowhere",), (".", "--older-than", "soon")])
def test_a_folder_or_an_age_that_is_none_is_refused(args):
    assert callsheet("clean", *args).exit_code == 2


def test_an_unknown_server_cannot_be_drained():
    result = callsheet("drain", "gpu2")

    assert result.exit_code == 2
    assert "known servers: gpu1" in result.output


async def test_the_diagnostics_describe_the_managed_server_and_name_missing_packages(tmp_path, monkeypatch):
    monkeypatch.delenv("COMFYUI_API_URL")
    folder = tmp_path / "ComfyUI"
    folder.mkdir()
    (folder / "main.py").touch()
    (folder / "comfyui_version.py").write_text('__version__ = "0.33.0"\n')
    settings = Settings(_env_file=None, comfyui_path=folder, comfyui_python=sys.executable, data_dir=tmp_path)
    lacks = [finding async for finding in check_comfyui(Installation(settings))][-1]
    monkeypatch.setattr("callsheet.comfyui.server_command._PACKAGES", ("PIL", "yaml"))
    found = [finding async for finding in check_comfyui(Installation(settings))][-1]
    wrong = settings.model_copy(update={"comfyui_python": Path("/nowhere/python")})
    gone = [finding async for finding in check_comfyui(Installation(wrong))][-1]

    assert (lacks.level, found.level, gone.level) == ("error", "ok", "error")
    assert "lacks torch, " in lacks.message and "PIL" not in lacks.message
    assert found.message.startswith(f"a worker starts ComfyUI 0.33.0 in {folder}, with Python 3.")
    assert "cannot be started" in gone.message


async def test_the_diagnostics_name_the_default_server(tmp_path, monkeypatch):
    monkeypatch.delenv("COMFYUI_API_URL")
    monkeypatch.setattr("callsheet.comfyui.hosts.DEFAULT_URL", "http://127.0.0.1:9")
    [*_, found] = [
        finding async for finding in check_comfyui(Installation(Settings(_env_file=None, data_dir=tmp_path)))
    ]

    assert (found.level, found.subject) == ("ok", "ComfyUI")
    assert "COMFYUI_API_URL is not set" in found.message and "unreachable" in found.message


async def test_the_diagnostics_report_broken_servers_and_workflows():
    found = [
        finding async for finding in check_comfyui(Installation(Settings(_env_file=None, comfyui_path="/nowhere")))
    ]

    assert [(finding.level, finding.subject) for finding in found] == [
        ("warning", "ComfyUI"),
        ("error", "ComfyUI"),
        ("warning", "ComfyUI"),
    ]
    assert "broken.json" in found[0].message
    assert "main.py" in found[1].message
    assert "does not respond" in found[2].message


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The URL of a fake ComfyUI server without the node WanVideoSampler, in a thread of its own."""
    with (
        from_thread.start_blocking_portal() as portal,
        portal.wrap_async_context_manager(running_comfyui(tmp_path / "server")) as running,
    ):
        running.missing_nodes.add("WanVideoSampler")
        yield running.url


def test_the_doctor_names_what_a_server_lacks_and_where_it_comes_from(server, monkeypatch):
    monkeypatch.setenv("CALLSHEET_COMFYUI_WORKFLOWS", str(TEMPLATES))
    lacking, complete = (
        callsheet("doctor", "infinite-talk", "--server", server),
        callsheet("doctor", "f5-tts", "--server", server),
    )

    assert lacking.exit_code == 1
    assert "lacks 1 thing for infinite-talk" in lacking.stdout
    assert "WanVideoSampler (node 22): the server has no such node" in lacking.stdout
    assert "from package ComfyUI-WanVideoWrapper, https://github.com/kijai/ComfyUI-WanVideoWrapper" in lacking.stdout
    assert complete.exit_code == 0
    assert "has everything for f5-tts" in complete.stdout


def test_the_doctor_examines_files_and_prints_json(server, tmp_path, monkeypatch):
    graph = {"1": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "prefix": "a"}}, "2": LOADER}
    (tmp_path / "mine.json").write_text(json.dumps(graph))
    monkeypatch.setenv("COMFYUI_API_URL", f"{server}#name=gpu1")

    result = callsheet("doctor", "mine.json", "--json")

    assert result.exit_code == 1
    (report,) = json.loads(result.stdout)["servers"]
    assert report["server"] == "gpu1"
    assert [(found["kind"], found["input"]) for found in report["missing"]] == [
        ("missing_input", "filename_prefix"),
        ("unknown_input", "prefix"),
    ]


def test_the_doctor_reports_a_server_that_does_not_respond_and_unknown_workflows():
    silent, unknown = callsheet("doctor", "say"), callsheet("doctor", "sya")

    assert silent.exit_code == 1
    assert "does not respond" in silent.stdout
    assert unknown.exit_code not in (0, 1)
