"""The intake that the documentation writes: plans in a folder."""

import asyncio
import importlib
import json
import sys

import pytest
from tests.support.documentation import DOCS, blocks_of


@pytest.fixture
def folder_intake(tmp_path, monkeypatch):
    [program] = [block for block in blocks_of(DOCS / "add-an-intake.md") if block.file == "folder_intake.py"]
    (tmp_path / program.file).write_text(program.text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield importlib.import_module("folder_intake").FolderIntake
    sys.modules.pop("folder_intake", None)


async def report(path):
    """Return the report that the intake writes for a file."""
    async with asyncio.timeout(60):
        while not path.exists() or not path.read_text():  # noqa: ASYNC110 - a file
            await asyncio.sleep(0.05)
    return json.loads(path.read_text())


async def test_the_documented_intake_runs_the_plans_of_its_folder(folder_intake, start_intake, tmp_path):
    inbox = tmp_path / "folder/inbox"
    inbox.mkdir(parents=True)
    (inbox / "good.json").write_text(json.dumps({"jobs": [{"id": "a", "operation": "noop"}]}))
    (inbox / "broken.json").write_text("{")
    (inbox / "unknown.json").write_text(json.dumps({"jobs": [{"id": "a", "operation": "rendr"}]}))

    await start_intake(folder_intake)

    assert (await report(tmp_path / "folder/done/good.report.json"))["status"] == "succeeded"
    assert "no JSON" in (await report(tmp_path / "folder/failed/broken.report.json"))["error"]
    assert "rendr" in str((await report(tmp_path / "folder/failed/unknown.report.json"))["problems"])
