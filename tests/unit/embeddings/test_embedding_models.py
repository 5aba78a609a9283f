"""Embedding models: in a folder, and on a server with OpenAI's API."""

import asyncio
import json
from contextlib import asynccontextmanager

import numpy as np
import pytest

from callsheet.ads.winners.creatives import embedded_text
from callsheet.domain.errors import ConfigurationError, NotConfigured, ProviderUnreachable
from callsheet.embeddings.engines import find_embedder, why_no_embedder
from callsheet.embeddings.onnx_model import OnnxModel
from callsheet.embeddings.server_model import ServerModel
from callsheet.settings import Settings
from support.minilm import WINNERS, minilm_folder


def settings(**given):
    return Settings(_env_file=None, **given)


@pytest.fixture(scope="module")
def minilm(tmp_path_factory):
    return OnnxModel(minilm_folder(tmp_path_factory.mktemp("minilm")))


async def ranks(model, queries):
    """The place of the expected creative for each query; 0 is the first."""
    creatives = WINNERS["creatives"]
    vectors = await model.embed([embedded_text(each, None) for each in creatives])
    scores = await model.embed([each["q"] for each in queries]) @ vectors.T
    ads = [each["adId"] for each in creatives]
    return [int((row > row[ads.index(each["adId"])]).sum()) for each, row in zip(queries, scores, strict=True)]


async def test_at_least_19_of_20_paraphrases_find_their_creative_first(minilm):
    assert len(WINNERS["creatives"]) >= 40 and len(WINNERS["paraphrases"]) == 20
    found = await ranks(minilm, WINNERS["paraphrases"])
    assert found.count(0) >= 19, found


async def test_hints_of_some_words_find_their_creative_among_the_first_three(minilm):
    found = await ranks(minilm, WINNERS["hints"])
    assert max(found) <= 2 and found.count(0) >= 17, found


async def test_vectors_have_unit_length_and_the_end_of_a_long_text_counts(minilm):
    filler = "The weather was much the same as the day before. " * 30
    vectors = await minilm.embed([filler, filler + "A robot vacuums the floor. " * 40, "a robot that vacuums", ""])

    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    assert vectors[1] @ vectors[2] > vectors[0] @ vectors[2] + 0.2
    assert (await minilm.embed([])).shape[0] == 0


async def test_equal_files_have_one_name_in_any_folder(minilm, tmp_path):
    other = OnnxModel(minilm_folder(tmp_path / "other"))
    assert await other.name() == await minilm.name()
    (tmp_path / "other/tokenizer.json").unlink()
    (tmp_path / "other/tokenizer.json").write_text("{}")
    assert await OnnxModel(tmp_path / "other").name() != await minilm.name()


async def test_files_that_are_no_model_are_named(tmp_path):
    folder = minilm_folder(tmp_path)
    (folder / "model.onnx").unlink()
    (folder / "model.onnx").write_bytes(b"no model")
    with pytest.raises(
        ConfigurationError, match=r"model\.onnx in the folder CALLSHEET_EMBEDDING_FOLDER cannot be used"
    ):
        await OnnxModel(folder).embed(["text"])


def test_without_a_model_the_error_says_what_to_set(tmp_path):
    with pytest.raises(NotConfigured, match=r"CALLSHEET_EMBEDDING_FOLDER .*or CALLSHEET_EMBEDDING_MODEL"):
        find_embedder(settings())
    reason = why_no_embedder(settings(embedding_folder=tmp_path))
    assert reason == "the folder CALLSHEET_EMBEDDING_FOLDER has no model.onnx and no tokenizer.json"
    with pytest.raises(ValueError, match="and not both"):
        settings(embedding_folder=tmp_path, embedding_model="m")


@asynccontextmanager
async def server_of(answer):
    """Serve `answer(body) -> (status, document)` for every request; yield settings for it, and the bodies."""
    bodies = []

    async def serve(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next((int(line[15:]) for line in head.lower().split("\r\n") if line.startswith("content-length:")), 0)
        body = json.loads(await reader.readexactly(length)) if length else None
        bodies.append((head.split()[1], body))
        status, document = answer(body)
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        start = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nConnection: close\r\n"
        writer.write(f"{start}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield settings(llm_url=f"http://127.0.0.1:{port}/v1", embedding_model="all-minilm"), bodies


def vector_of(text):
    return [float(len(text)), 3.0]


def answered(body):
    rows = [{"index": place, "embedding": vector_of(text)} for place, text in enumerate(body["input"])]
    return 200, {"data": rows[::-1]}


async def test_a_server_gets_batches_and_its_vectors_are_put_in_order():
    async with server_of(answered) as (given, bodies):
        model = find_embedder(given)
        texts = ["x" * number for number in range(1, 41)]
        vectors = await model.embed(texts)
        name = await model.name()

    assert vectors == pytest.approx(np.array([vector_of(t) / np.linalg.norm(vector_of(t)) for t in texts]), abs=1e-6)
    assert [(path, len(body["input"])) for path, body in bodies] == [
        ("/v1/embeddings", 32),
        ("/v1/embeddings", 8),
        ("/v1/embeddings", 1),
    ]
    assert name == "all-minilm/2"


@pytest.mark.parametrize(
    "document",
    [
        b"no JSON",
        {"data": []},
        {"data": [{"embedding": ["a"]}, {"embedding": [1.0]}]},
        {"data": [{"embedding": [1.0, 2.0]}, {"embedding": [1.0]}]},
        {"data": [{"index": 0, "embedding": [1.0]}, {"index": 0, "embedding": [1.0]}]},
        {"data": [{"embedding": [0.0]}, {"embedding": [1.0]}]},
        {"data": [{"embedding": [True]}, {"index": 7, "embedding": [1.0]}]},
    ],
)
async def test_an_answer_without_a_vector_for_each_text_is_a_failure_of_the_server(document):
    async with server_of(lambda _: (200, document)) as (given, _):
        with pytest.raises(ProviderUnreachable):
            await ServerModel(given, "m").embed(["a", "b"])


async def test_a_model_that_the_server_does_not_have_is_named_with_those_that_it_has():
    def answer(body):
        return (200, {"data": [{"id": "nomic"}]}) if body is None else (404, {"error": {"message": "not found"}})

    async with server_of(answer) as (given, _):
        with pytest.raises(ConfigurationError, match=r"no model 'all-minilm'.*Its models: nomic.*_EMBEDDING_MODEL"):
            await find_embedder(given).embed(["a"])
