"""Texts of a real small model, SmolLM2-135M behind llama.cpp's server, become a video."""

import asyncio
import sys
from pathlib import Path

import pytest
import tests.support
from plans import job, plan

from callsheet.operations.content import content
from callsheet.operations.render import render
from callsheet.testing.engine import running_engine

SERVER = Path(tests.support.__file__).with_name("smollm2_server.py")


@pytest.fixture
async def smollm2():
    """The URL of the server."""
    pipe = asyncio.subprocess.PIPE
    server = await asyncio.create_subprocess_exec(
        sys.executable, SERVER, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield await asyncio.wait_for(_url(server.stdout), 60)
    finally:
        if server.returncode is None:
            server.kill()
        await server.communicate()


async def _url(output):
    """Skip what the library writes while it loads."""
    async for line in output:
        if line.startswith(b"http://"):
            return f"{line.decode().strip()}/v1"
    raise AssertionError("the server ended at its start")


async def test_a_real_model_writes_texts_that_become_a_video(settings, smollm2):
    settings = settings.model_copy(update={"llm_url": smollm2, "llm_model": "smollm2"})
    params = {
        "persona": {"name": "Mara", "job": "lighthouse keeper"},
        "topic": "A lighthouse at dusk",
        "scenes": 2,
        "duration": 2,
        "captionLength": 60,
        "maxTokens": 1_000,
        "temperature": 0,
    }
    scenes = [
        {
            "color": "#17324d",
            "duration": f"${{texts.scenes[{number}].seconds}}",
            "title": {"text": f"${{texts.scenes[{number}].text}}"},
        }
        for number in (0, 1)
    ]
    film = {"scenes": scenes, "output": {"width": 128, "height": 96, "fps": 10}}

    async with running_engine([content, render], settings=settings) as engine:
        execution = await engine.run(
            plan(job("texts", "content", params=params), job("film", "render", params=film)), timeout=120
        )

    texts, video = (each.result for each in execution.jobs)
    assert execution.status == "succeeded", [each.error for each in execution.jobs]
    assert len(texts["caption"]) <= 60 and len(texts["scenes"]) == 2
    assert all(scene["text"] and scene["prompt"] for scene in texts["scenes"])
    assert sum(scene["seconds"] for scene in texts["scenes"]) == pytest.approx(2)
    assert texts["model"] and 20 < texts["completionTokens"] <= 1_000
    assert video["duration"] == pytest.approx(2, abs=0.2)
