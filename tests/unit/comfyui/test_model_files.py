"""Models are downloaded into the folder of the managed ComfyUI server."""

import asyncio
import hashlib
import json
import os
from datetime import timedelta

import pytest
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from typer.testing import CliRunner

from callsheet.cli.app import app
from callsheet.comfyui import model_files
from callsheet.comfyui.model_files import models_folder, pull_model
from callsheet.comfyui.model_list import listed_models, model_at
from callsheet.domain.errors import BadParams, BadSource, Conflict, DigestMismatch, DiskFull, SourceUnreachable
from callsheet.fakes.providers.server import cut_connection, serve_app
from callsheet.settings import Settings

WEIGHTS = os.urandom(300_000)
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()


class ModelServer:
    """Serves one file with ranges and an ETag. `cuts`: bytes after which each of the next responses is cut."""

    def __init__(self):
        self.ranges = []
        self.cuts = []
        self.etag = '"v1"'
        self.data = WEIGHTS
        self.then = {}
        """What changes after the first request."""
        routes = [
            Route("/page.safetensors", lambda _: HTMLResponse("<html>")),
            Route("/gated.safetensors", lambda _: Response(status_code=403)),
            Route("/missing.safetensors", lambda _: Response(status_code=404)),
            Route("/{name}", self.file),
        ]
        self.app = Starlette(routes=routes)

    async def file(self, request):
        wanted = request.headers.get("Range")
        if self.ranges:
            vars(self).update(self.then)
        self.ranges.append(wanted)
        continues = wanted and request.headers.get("If-Range") == self.etag
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if continues else 0
        body = self.data[start:]
        if self.cuts:
            head = (
                f"HTTP/1.1 {206 if continues else 200} OK\r\nETag: {self.etag}\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            await cut_connection(request, after=head.encode() + body[: self.cuts.pop(0)])
        return Response(body, 206 if continues else 200, headers={"ETag": self.etag})


@pytest.fixture
async def server(monkeypatch):
    monkeypatch.setattr(model_files, "_PAUSE", 0.01)
    server = ModelServer()
    async with serve_app(server.app) as server.url:
        yield server


@pytest.fixture
def settings(tmp_path):
    return Settings(_env_file=None, data_dir=tmp_path)


@pytest.fixture
def pull(server, settings):
    async def pull(name="tiny.safetensors", *, changes=None, on_progress=lambda *_: None, **options):
        source = model_at(f"{server.url}/{name}", options.pop("folder", "checkpoints"), **options)
        return await pull_model(source, settings.model_copy(update=changes or {}), on_progress)

    return pull


async def test_a_model_is_complete_and_verified_under_its_name(pull, settings):
    progress = []

    model = await pull(sha256=SHA256, folder="loras", on_progress=lambda *seen: progress.append(seen))

    assert model.path == models_folder(settings) / "loras" / "tiny.safetensors"
    assert model.path.read_bytes() == WEIGHTS
    assert (model.is_new, model.is_verified) == (True, True)
    assert progress[-1] == (len(WEIGHTS), len(WEIGHTS))
    assert [path.name for path in model.path.parent.iterdir()] == ["tiny.safetensors"]
    again = await pull(sha256=SHA256, folder="loras")
    assert (again.is_new, again.sha256) == (False, SHA256)


async def test_a_download_continues_after_cuts(pull, server):
    server.cuts = [100_000, 50_000]

    model = await pull(sha256=SHA256)

    assert model.path.read_bytes() == WEIGHTS
    assert server.ranges == [None, "bytes=100000-", "bytes=150000-"]


async def test_a_download_continues_in_another_process(pull, server, monkeypatch):
    monkeypatch.setattr(model_files, "_GIVE_UP_AFTER", 0)
    server.cuts = [100_000, 0]
    with pytest.raises(SourceUnreachable, match="Start it again to continue"):
        await pull()

    model = await pull()

    assert model.path.read_bytes() == WEIGHTS
    assert server.ranges[-1] == "bytes=100000-"
    assert not model.is_verified and model.sha256 == SHA256


async def test_a_file_that_changed_meanwhile_begins_again(pull, server):
    changed = os.urandom(200_000)
    server.cuts = [100_000]
    server.then = {"etag": '"v2"', "data": changed}

    model = await pull()

    assert model.path.read_bytes() == changed
    assert server.ranges == [None, "bytes=100000-"]


async def test_other_contents_are_deleted(pull, settings):
    with pytest.raises(DigestMismatch, match="The file was deleted"):
        await pull(sha256="0" * 64)

    assert [path.name for path in (models_folder(settings) / "checkpoints").glob("*.safetensors")] == []
    assert [path.name for path in (models_folder(settings) / "checkpoints").glob(".*.part")] == []


@pytest.mark.parametrize(
    ("name", "said"),
    [("page.safetensors", "is a web page"), ("gated.safetensors", "an account"), ("missing.safetensors", "404")],
)
async def test_answers_that_are_no_model_are_named(pull, name, said):
    with pytest.raises(BadSource, match=said):
        await pull(name)


async def test_a_full_disk_is_noticed_before_the_download(pull, server, monkeypatch):
    monkeypatch.setattr(model_files.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 2**30})())

    with pytest.raises(DiskFull, match="300,000 bytes; 1,073,741,824 are free"):
        await pull()


async def test_the_same_model_is_pulled_once_at_a_time(pull, server):
    server.cuts = [100_000]
    began = asyncio.Event()
    first = asyncio.create_task(pull(on_progress=lambda *_: began.set()))
    await asyncio.wait_for(began.wait(), 10)

    with pytest.raises(Conflict, match="Another process pulls"):
        await pull()
    assert (await first).is_new


async def test_the_least_recently_used_pulled_model_makes_room(pull, settings):
    own = models_folder(settings) / "checkpoints" / "mine.safetensors"
    own.parent.mkdir(parents=True)
    own.write_bytes(WEIGHTS)
    limits = {"comfyui_models_max_bytes": 700_000, "comfyui_models_keep_for": timedelta(0)}
    models = [await pull(f"{name}.safetensors", changes=limits) for name in ("a", "b")]
    await pull("a.safetensors", changes=limits)

    third = await pull("c.safetensors", changes=limits)

    assert third.removed == (models[1].path,)
    assert sorted(path.name for path in own.parent.glob("*.safetensors")) == [
        "a.safetensors",
        "c.safetensors",
        "mine.safetensors",
    ]
    kept = limits | {"comfyui_models_keep_for": timedelta(hours=1)}
    with pytest.raises(DiskFull, match="CALLSHEET_COMFYUI_MODELS_MAX_BYTES"):
        await pull("d.safetensors", changes=kept)


@pytest.mark.parametrize(
    ("url", "folder", "said"),
    [
        ("ftp://a/b.safetensors", "vae", "must start with https"),
        ("https://a/b.safetensors", "../x", r"there is no folder '\.\./x'"),
        ("https://a/b.ckpt", "vae", "can run code"),
        ("https://a/download", "vae", "set --name"),
    ],
)
def test_sources_that_cannot_be_pulled_are_refused(url, folder, said):
    with pytest.raises(BadParams, match=said):
        model_at(url, folder)


def test_names_of_urls_are_sanitized():
    assert model_at("https://a/x/..%2F..%2Fevil.safetensors?download=true", "vae").file == "evil.safetensors"
    assert model_at("https://a/m.ckpt", "vae", allow_pickle=True).file == "m.ckpt"


def test_the_list_is_complete():
    for name, model in listed_models().items():
        assert model_at(model.url, model.folder, sha256=model.sha256).file == model.file
        assert (model.name, bool(model.bytes), bool(model.licence)) == (name, True, True)


async def test_the_command_pulls_and_lists(server, tmp_path, monkeypatch):
    monkeypatch.setenv("CALLSHEET_DATA_DIR", str(tmp_path))
    command = ["comfyui", "models", "pull", f"{server.url}/tiny.safetensors", "--folder", "vae", "--json"]

    pulled = await asyncio.to_thread(CliRunner().invoke, app, command)
    listed = await asyncio.to_thread(CliRunner().invoke, app, ["comfyui", "models", "list", "--json"])

    record = json.loads(pulled.stdout)
    assert (record["sha256"], record["verified"], record["new"]) == (SHA256, False, True)
    assert {model["name"]: model["here"] for model in json.loads(listed.stdout)["models"]}["sd15"] is False
