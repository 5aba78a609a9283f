"""The commands of `callsheet comfyui`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from callsheet.cli.app import app
from callsheet.cli.diagnostics import _comfyui
from callsheet.settings import Settings

GRAPH = {"1": {"class_type": "PrimitiveString", "inputs": {"value": "hello"}}}
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
    assert "does not respond" in server["remark"]
    broken, shown = listing["workflows"]
    assert "not JSON" in broken["remark"]
    assert shown["inputs"]["properties"]["text"]["default"] == "hello"


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


def test_an_unknown_server_cannot_be_drained():
    result = callsheet("drain", "gpu2")

    assert result.exit_code == 2
    assert "known servers: gpu1" in result.output


async def test_the_diagnostics_report_broken_servers_and_workflows():
    found = [finding async for finding in _comfyui(Settings(_env_file=None, comfyui_path="/nowhere"), None)]

    assert [(finding.level, finding.subject) for finding in found] == [
        ("warning", "ComfyUI"),
        ("error", "ComfyUI"),
        ("warning", "ComfyUI"),
    ]
    assert "broken.json" in found[0].message
    assert "main.py" in found[1].message
    assert "does not respond" in found[2].message
