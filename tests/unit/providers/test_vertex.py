import base64
import json
import sys
from contextlib import asynccontextmanager

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from callsheet.domain.errors import ConfigurationError, ProviderUnreachable
from callsheet.fakes.providers.faults import ReplaceFields
from callsheet.fakes.providers.server import serve_app
from callsheet.fakes.providers.task_script import Cancelled, Failed, Running, Succeeded, sample_video
from callsheet.fakes.providers.vertex import FakeVertex
from callsheet.providers.catalog import discover_providers
from callsheet.providers.vertex import Vertex, VertexSettings
from callsheet.settings import Settings
from callsheet.testing.provider_contract import ProviderContract

from .opened import image_in, opened, status_after

MODELS = "/v1beta1/projects/callsheet-fake/locations/us-central1/publishers/google/models"


class TestVertex(ProviderContract):
    fake = FakeVertex


async def test_a_submission_is_a_prediction_with_output_to_the_bucket(tmp_path):
    given = {"prompt": "A fox", "image": image_in(tmp_path), "durationSeconds": 8, "generateAudio": True}
    async with opened(FakeVertex, tmp_path) as (fake, provider):
        task = await provider.submit(fake.example_request(input=given))
        await provider.get_status(task)

    submit, status = fake.requests
    assert submit.url == f"{fake.base_url}{MODELS}/veo-3.1-generate-001:predictLongRunning"
    picture = {"bytesBase64Encoded": base64.b64encode(b"an image").decode(), "mimeType": "image/png"}
    assert submit.json() == {
        "instances": [{"prompt": "A fox", "image": picture}],
        "parameters": {
            "sampleCount": 1,
            "storageUri": "gs://callsheet-fake/videos",
            "durationSeconds": 8,
            "generateAudio": True,
        },
    }
    assert (status.method, status.json()) == ("POST", {"operationName": task.id})


async def test_images_in_lists_are_sent(tmp_path):
    reference = {"image": image_in(tmp_path), "referenceType": "asset"}
    async with opened(FakeVertex, tmp_path) as (fake, provider):
        await provider.submit(fake.example_request(input={"prompt": "A fox", "referenceImages": [reference]}))

    [sent] = fake.requests_of("submit")[0].json()["instances"][0]["referenceImages"]
    assert sent["image"]["mimeType"] == "image/png"


async def test_a_video_in_the_bucket_is_fetched_with_the_token(tmp_path):
    async with opened(FakeVertex, tmp_path) as (fake, provider):
        status = await status_after(fake, provider, Succeeded((sample_video("a film é.mp4"),)))
        path = await provider.fetch(status.outputs[0], tmp_path / "video.mp4")

    assert status.outputs[0].name == "a film é.mp4"
    assert path.read_bytes() == sample_video().data
    [sent] = fake.requests_of("download")
    assert sent.headers["authorization"] == f"Bearer {fake.key}"


async def test_without_a_bucket_the_video_is_inline(tmp_path):
    async with opened(FakeVertex, tmp_path, {"storage": None}) as (fake, provider):
        status = await status_after(fake, provider, Succeeded())
        path = await provider.fetch(status.outputs[0], tmp_path / "video.mp4")

    assert "storageUri" not in fake.requests_of("submit")[0].json()["parameters"]
    assert path.read_bytes() == sample_video().data
    assert status.outputs[0].media_type == "video/mp4"


@pytest.mark.parametrize(
    ("response", "code"),
    [
        ({"raiMediaFilteredCount": 1}, "content_refused"),
        ({"videos": [], "raiMediaFilteredReasons": ["Blocked. Support code: 1"]}, "content_refused"),
        ({"raiMediaFilteredCount": 0}, "provider_failed"),
        ({}, "provider_failed"),
        (None, "provider_failed"),
    ],
)
async def test_done_without_a_video_is_a_failure(tmp_path, response, code):
    async with opened(FakeVertex, tmp_path) as (fake, provider):
        fake.inject_faults(status=[ReplaceFields({"response": response})])
        status = await status_after(fake, provider, Succeeded())

    assert (status.state, status.code) == ("failed", code)
    assert status.message


async def test_a_task_runs_until_it_is_done(tmp_path):
    async with opened(FakeVertex, tmp_path) as (fake, provider):
        fake.inject_faults(status=[ReplaceFields({"done": False}), ReplaceFields({"done": "maybe"})])
        fake.script(Running())
        task = await provider.submit(fake.example_request())

        assert {(await provider.get_status(task)).state for _ in range(3)} == {"running"}


async def test_error_codes_are_mapped(tmp_path):
    async with opened(FakeVertex, tmp_path) as (fake, provider):
        assert (await status_after(fake, provider, Cancelled())).state == "cancelled"
        assert (await status_after(fake, provider, Failed("Deadline exceeded", why="deadline"))).code == "deadline"
        fake.inject_faults(
            status=[ReplaceFields({"error": {"code": 3, "message": "The prompt violates our usage guidelines."}})]
        )
        assert (await status_after(fake, provider, Failed())).code == "content_refused"


@pytest.mark.parametrize(
    ("location", "address"),
    [
        ("europe-west4", "https://europe-west4-aiplatform.googleapis.com"),
        ("global", "https://aiplatform.googleapis.com"),
    ],
)
async def test_the_base_url_depends_on_the_region(location, address):
    own = VertexSettings(_env_file=None, project="p", token="t" * 20, location=location)
    provider = Vertex(Settings(_env_file=None), own)
    try:
        assert provider._http.base_url == address
    finally:
        await provider.close()


def test_missing_settings_and_packages_are_reported(monkeypatch):
    with pytest.raises(ConfigurationError, match="needs CALLSHEET_VERTEX_PROJECT or GOOGLE_CLOUD_PROJECT"):
        discover_providers(Settings(_env_file=None))["vertex"]
    monkeypatch.setitem(sys.modules, "callsheet.providers.google_tokens", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'callsheet\[vertex\]'"):
        Vertex(Settings(_env_file=None), VertexSettings(_env_file=None, project="p"))


@asynccontextmanager
async def token_server(fake, answers):
    """A token endpoint like Google's: it issues tokens for signed claims."""

    async def give(request):
        form = await request.form()
        answers.append(jwt.decode(form["assertion"], options={"verify_signature": False}))
        if len(answers) > 1:
            return JSONResponse({"error": "invalid_grant", "error_description": "Too many"}, 400)
        return JSONResponse({"access_token": fake.key, "expires_in": 3600, "token_type": "Bearer"})

    async with serve_app(Starlette(routes=[Route("/token", give, methods=["POST"])])) as base:
        yield f"{base}/token"


def service_account(path, token_uri):
    key = generate_private_key(public_exponent=65537, key_size=2048)
    path.write_text(
        json.dumps(
            {
                "type": "service_account",
                "project_id": "callsheet-fake",
                "private_key_id": "1",
                "private_key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
                "client_email": "films@callsheet-fake.iam.gserviceaccount.com",
                "token_uri": token_uri,
            }
        )
    )
    return str(path)


async def test_the_token_of_a_service_account_is_used_and_cached(tmp_path, monkeypatch):
    asked = []
    async with FakeVertex() as fake, token_server(fake, asked) as token_uri:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", service_account(tmp_path / "account.json", token_uri))
        own = fake.provider_settings(token=None)
        async with discover_providers(Settings(_env_file=None), provider_settings=[own]) as providers:
            task = await providers["vertex"].submit(fake.example_request())
            await providers["vertex"].get_status(task)

    [claims] = asked
    assert claims["scope"] == "https://www.googleapis.com/auth/cloud-platform"
    assert fake.paid == 1


async def test_without_a_token_nothing_is_sent(tmp_path, monkeypatch):
    asked = [{}]
    async with FakeVertex() as fake, token_server(fake, asked) as token_uri:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", service_account(tmp_path / "account.json", token_uri))
        own = fake.provider_settings(token=None)
        async with discover_providers(Settings(_env_file=None), provider_settings=[own]) as providers:
            with pytest.raises(ProviderUnreachable, match="invalid_grant"):
                await providers["vertex"].submit(fake.example_request())

    assert fake.requests == []
