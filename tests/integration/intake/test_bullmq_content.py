"""The queue `content-generation` of BullMQ, with a fake language model."""

import pytest
from tests.support.node import NodeProgram

from callsheet.fakes.language_model import FakeLanguageModel
from callsheet.intake.bullmq.intake import BullMQIntake
from callsheet.operations.content import content
from callsheet.settings import Settings
from callsheet.testing.engine import running_engine

QUEUE = "content-generation"


@pytest.fixture
async def language_model():
    async with FakeLanguageModel() as server:
        yield server


@pytest.fixture
async def engine(settings, redis_server, language_model):
    changes = {"redis_port": redis_server.port, "redis_host": "127.0.0.1", "bullmq_queues": QUEUE}
    values = {**settings.model_dump(), **changes, **language_model.settings()}
    async with running_engine([content], settings=Settings(_env_file=None, **values)) as engine:
        yield engine


async def test_a_job_of_content_generation_gets_its_texts(redis_server, language_model, start_intake, ask):
    node = NodeProgram("bullmq.mjs", PORT=str(redis_server.port), VERSION="6")
    try:
        await ask(node, "listen", queue=QUEUE)
        await start_intake(BullMQIntake)
        data = {"jobId": "41", "persona": {"name": "Mara"}, "context": "A lighthouse at dusk", "durationSec": 12}
        id = await ask(node, "add", queue=QUEUE, data=data)
        finished = await ask(node, "finished", queue=QUEUE, id=id, timeout=60_000)
        wrong = await ask(node, "add", queue=QUEUE, data={"persona": "Mara", "duration": -1})
        refused = await ask(node, "finished", queue=QUEUE, id=wrong, timeout=60_000)
    finally:
        node.close()
    texts = finished["result"]
    assert texts["status"] == "succeeded", finished
    assert len(texts["scenes"]) == 5 and texts["duration"] == 12
    assert texts["script"].startswith(texts["scenes"][0]["text"]) and texts["caption"]
    assert len(language_model.chats) == 1
    assert "A lighthouse at dusk" in language_model.chats[0].body["messages"][1]["content"]
    assert "duration" in refused["failed"]
