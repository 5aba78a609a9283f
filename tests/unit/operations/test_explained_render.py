"""A render runs the commands of its dry run."""

from pathlib import Path
from typing import Any

import pytest
from media.studio import FakeContext, Studio

from callsheet.domain.plan_validation import validate_params
from callsheet.media.rendering.explain import explain
from callsheet.operations.render import render
from callsheet.operations.staging import stage as stage_render


def comparable(arguments: list[str], folder: Path) -> list[str]:
    """Arguments without the folder and the number of threads."""
    args = [arg.replace(f"{folder}/", "") for arg in arguments]
    return [arg for before, arg in zip(["", *args], args, strict=False) if before != "-threads"]


def read(*scenes: object) -> Any:
    output = {"width": 64, "height": 64, "fps": 30, "preset": "ultrafast"}
    return validate_params({"scenes": [*scenes], "output": output}, render.params)


@pytest.mark.parametrize("trim", [0, 0.2], ids=["copied", "encoded"])
async def test_a_render_runs_the_explained_commands(
    tmp_path: Path, studio: Studio, monkeypatch: pytest.MonkeyPatch, trim: float
):
    (tmp_path / "before").mkdir()
    before = FakeContext(tmp_path / "before")
    await render.run(before, read(str(studio.clip("plain.mp4", sound="sine=frequency=300"))))
    stage = FakeContext(tmp_path, ffmpeg_audio_filter="volume=0.5")
    params = read(
        {"src": str(before.kept[0]), "trim_start": trim},
        {"src": str(before.kept[0]), "title": "Hello", "transition": {"type": "fade", "duration": 0.2}},
        {"color": "red", "duration": 0.5},
    )
    staged = await stage_render(stage, params)
    explanation = explain(staged.plan, staged.encoder, staged.notes, stage.ffmpeg.binary, stage.ffmpeg.threads)
    recorded_args: list[list[str]] = []
    run = stage.ffmpeg.run

    async def recorded(arguments: list[str], **options: Any) -> Any:
        recorded_args.append(list(arguments))
        return await run(arguments, **options)

    monkeypatch.setattr(stage.ffmpeg, "run", recorded)
    await render.run(stage, params)

    actual = [
        comparable(arguments, stage.dir) for arguments in recorded_args if not arguments[-1].endswith("headers.mp4")
    ]
    explained = [command.arguments[command.arguments.index("-y") + 1 :] for command in explanation.commands]
    assert sorted(actual) == sorted(comparable(arguments, stage.dir) for arguments in explained)
    assert any(segment.copied for segment in explanation.segments) == (trim == 0)
    scripts = {name: text for command in explanation.commands for name, text in command.scripts.items()}
    assert len(scripts) >= 2
    assert {name: (stage.dir / name).read_text() for name in scripts} == scripts
