"""`callsheet comfyui`, as a person types it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from callsheet.cli.app import app
from callsheet.cli.diagnostics import _comfyui
from callsheet.settings import Settings

GRAPH = {"1": {"class_type": "PrimitiveString", "inputs": {"value": "hello"}}}
INPUTS = "description: Says something\ninputs:\n  words: {to: 1.value, type: string}\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "say.json").write_text(json.dumps(GRAPH))
    (tmp_path / "say.inputs.yaml").write_text(INPUTS)
    (tmp_path / "broken.json").write_text("{")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CALLSHEET_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("CALLSHEET_COMFYUI_WORKFLOWS", str(tmp_path))
    monkeypatch.setenv("COMFYUI_API_URL", "http://127.0.0.1:9#name=gpu1&tags=wan")


def callsheet(*words: str) -> Result:
    return CliRunner().invoke(app, ["comfyui", *words])


def listed() -> dict:
    return json.loads(callsheet("list", "--json").stdout)


def test_servers_and_workflows_are_listed_with_what_is_wrong_with_them():
    answer = listed()

    [server] = answer["servers"]
    assert (server["name"], server["state"], server["tags"]) == ("gpu1", "lost", ["wan"])
    assert "does not answer" in server["remark"]
    broken, say = answer["workflows"]
    assert "is not JSON" in broken["remark"]
    assert say["inputs"]["properties"]["words"]["default"] == "hello"


def test_people_get_columns():
    answer = callsheet("list")

    assert answer.exit_code == 0
    assert "gpu1" in answer.stdout
    assert "words?" in answer.stdout


def test_a_server_is_taken_out_of_use_and_back():
    assert callsheet("drain", "gpu1").exit_code == 0
    assert listed()["servers"][0]["state"] == "paused"
    assert callsheet("resume", "gpu1").exit_code == 0
    assert listed()["servers"][0]["state"] == "lost"


def test_a_server_that_is_not_there_cannot_be_drained():
    answer = callsheet("drain", "gpu2")

    assert answer.exit_code == 2
    assert "there are: gpu1" in answer.output


async def test_the_checkup_tells_of_servers_and_workflows_that_do_not_work():
    found = [finding async for finding in _comfyui(Settings(_env_file=None, comfyui_path="/nowhere"), None)]

    assert [(finding.level, finding.subject) for finding in found] == [
        ("warning", "ComfyUI"),
        ("error", "ComfyUI"),
        ("warning", "ComfyUI"),
    ]
    assert "broken.json" in found[0].message
    assert "main.py" in found[1].message
    assert "does not answer" in found[2].message
