"""Every operation that runs a stored workflow refuses one that cannot be used, when its plan is submitted."""

import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from callsheet.domain.errors import PlanRefused
from callsheet.domain.plan import Plan
from callsheet.domain.plan_validation import check_plan
from callsheet.operation_api.catalog import Catalog
from callsheet.operations.comfyui.operation import comfyui
from callsheet.operations.generate import generate
from callsheet.operations.speech import speech
from callsheet.operations.talk import talk
from callsheet.operations.upscale import upscale
from callsheet.operations.upscale_comfyui_part import upscale_comfyui_part
from callsheet.settings import Settings

SHIPPED = Path(str(files("callsheet.comfyui.templates")))
FACE, VOICE, CLIP = "https://example.com/face.png", "https://example.com/voice.wav", "https://example.com/clip.mp4"
MODELS = """
- id: studio/local
  name: Local only
  makes: image
  offers:
    - {provider: comfyui, model: nope, parameters: {}}
- id: studio/both
  name: Local, or elsewhere
  makes: image
  offers:
    - {provider: comfyui, model: nope, parameters: {}}
    - {provider: replicate, model: black-forest-labs/flux-schnell, parameters: {}}
"""
UPSCALE = {"src": CLIP, "engine": "comfyui", "model": "RealESRGAN_x2plus.pth"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    folder = tmp_path / "workflows"
    folder.mkdir()
    (tmp_path / "models.yaml").write_text(MODELS)
    return Settings(
        _env_file=None,
        data_dir=tmp_path / "data",
        comfyui_workflows=folder,
        comfyui_api_url="http://127.0.0.1:9",
        models_file=tmp_path / "models.yaml",
    )


def problems(settings: Settings, operation: str, params: dict[str, Any]) -> dict[str, str]:
    """Check a plan with one job, and return the codes of its problems by path."""
    jobs = [{"id": "tested", "operation": operation, "params": params}]
    catalog = Catalog([comfyui, generate, speech, talk, upscale, upscale_comfyui_part]).with_settings(settings)
    try:
        check_plan(Plan.model_validate({"jobs": jobs}), catalog, max_jobs=10)
    except PlanRefused as refused:
        return {problem.path.removeprefix("jobs[0].params."): problem.code for problem in refused.problems}
    return {}


@pytest.mark.parametrize(
    ("operation", "params", "path"),
    [
        ("comfyui", {"workflow": "nope"}, "workflow"),
        ("talk", {"image": FACE, "audio": VOICE, "workflow": "nope"}, "workflow"),
        ("upscale", {**UPSCALE, "workflow": "nope"}, "workflow"),
        ("upscale-comfyui-part", {"video": {**UPSCALE, "workflow": "nope"}, "part": 0}, "video.workflow"),
        ("generate", {"modelId": "studio/local"}, "modelId"),
    ],
)
def test_an_unknown_workflow_is_refused(settings: Settings, operation: str, params: dict[str, Any], path: str):
    assert problems(settings, operation, params) == {path: "unknown_workflow"}


@pytest.mark.parametrize(
    ("workflow", "operation", "params", "path"),
    [
        ("infinite-talk", "talk", {"image": FACE, "audio": VOICE}, "workflow"),
        ("upscale", "upscale", UPSCALE, "workflow"),
        ("f5-tts", "speech", {"text": "Hello.", "voice": VOICE}, "engine"),
        ("f5-tts", "talk", {"image": FACE, "speech": {"text": "Hello.", "voice": VOICE}}, "speech.engine"),
    ],
)
def test_a_broken_workflow_that_replaces_a_shipped_one_is_refused(
    settings: Settings, workflow: str, operation: str, params: dict[str, Any], path: str
):
    assert problems(settings, operation, params) == {}
    (settings.comfyui_workflows / f"{workflow}.json").write_text("{")

    assert problems(settings, operation, params) == {path: "invalid_workflow"}


@pytest.mark.parametrize(
    ("workflow", "operation", "params", "path"),
    [
        ("infinite-talk", "talk", {"image": FACE, "audio": VOICE, "steps": 4}, "steps"),
        ("upscale", "upscale", {**UPSCALE, "inputs": {"hue": 1}}, "inputs.hue"),
        ("f5-tts", "speech", {"text": "Hello.", "voice": VOICE}, "seed"),
        ("f5-tts", "talk", {"image": FACE, "speech": {"text": "Hello.", "voice": VOICE}}, "speech.seed"),
    ],
)
def test_an_input_that_the_workflow_lacks_is_refused(
    settings: Settings, workflow: str, operation: str, params: dict[str, Any], path: str
):
    shutil.copy(SHIPPED / f"{workflow}.json", settings.comfyui_workflows)
    described = (SHIPPED / f"{workflow}.inputs.yaml").read_text()
    name = path.rpartition(".")[2]
    kept = [line for line in described.splitlines() if not line.strip().startswith(f"{name}:")]
    (settings.comfyui_workflows / f"{workflow}.inputs.yaml").write_text("\n".join(kept))

    assert problems(settings, operation, params) == {path: "unknown_input"}


@pytest.mark.parametrize(
    ("operation", "params"),
    [
        ("talk", {"image": "${first.images[0]}", "audio": VOICE, "workflow": "${inputs.workflow}"}),
        ("upscale", {**UPSCALE, "src": "${first.file}", "inputs": {"hue": "${first.hue}"}}),
        ("generate", {"modelId": "studio/both"}),
    ],
)
def test_what_is_not_known_yet_or_has_an_alternative_is_not_refused(
    settings: Settings, operation: str, params: dict[str, Any]
):
    found = problems(settings, operation, params)

    assert "unknown_workflow" not in found.values() and "invalid_workflow" not in found.values()
