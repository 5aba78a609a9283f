"""Models in the console: the list with prices and limits, and a form for each."""

import html
import re

import pytest

from callsheet.fakes.providers.replicate import FakeReplicate
from callsheet.operation_api.catalog import Catalog
from callsheet.operations.generate import generate
from callsheet.testing.operations import ALL

from .conftest import served
from .test_console import page, token_in

FLUX = "/console/new/model?model=black-forest-labs/flux-1.1-pro"
SEEDANCE = "/console/new/model?model=bytedance/seedance-1-pro&provider=replicate"


@pytest.fixture
async def api(settings, tmp_path):
    prices = tmp_path / "prices.yaml"
    prices.write_text(
        "replicate:\n  bytedance/seedance-1-pro: {by: resolution, amounts: {480p: 0.03, 1080p: 0.15}, per: second, "
        "date: '2026-11-22', source: invoice}\n"
    )
    async with FakeReplicate() as provider:
        changed = settings.model_copy(update={"prices_file": prices})
        own = [provider.provider_settings()]
        async with served(changed, Catalog([generate, *ALL]), provider_settings=own) as api:
            yield api


async def row(api, name, query=""):
    text = html.unescape(await page(api, f"/console/models{query}"))
    return next((each for each in text.split("<tr>") if f">{name}</a>" in each), None)


async def post(api, path, **fields):
    token = token_in(await page(api, path))
    return await api.client.post(path, data={"token": token, **{f"field.{k}": v for k, v in fields.items()}})


async def test_the_list_shows_what_models_cost_and_allow_and_whether_they_are_set_up(api):
    names = ("FLUX 1.1 Pro", "Seedance 1 Pro", "Ray 3.2", "A server with an API like /v1/videos")
    flux, seedance, ray, own = [await row(api, name) for name in names]

    assert "$0.04 per run (2026-10-07)" in flux
    assert "$0.03 at 480p, $0.15 at 1080p per second (2026-11-22)" in seedance
    assert "duration 2 to 12; resolution 480p, 720p, 1080p" in seedance
    assert re.search("fal</span> <small title=.*not set up", seedance)
    assert "$0.30 at 720p and duration 5, $0.90 at 720p and duration 10" in ray
    assert "price not known" in own
    assert await row(api, "FLUX 1.1 Pro", "?search=seedance") is None
    assert await row(api, "FLUX 1.1 Pro", "?makes=image&search=replicate") is not None
    assert await row(api, "FLUX 1.1 Pro", "?makes=video") is None
    listed = (await api.client.get("/api/models/bytedance/seedance-1-pro")).json()
    assert listed["offers"][0]["unitPrice"]["amounts"] == {"480p": 0.03, "1080p": 0.15}


async def test_a_form_submits_a_job_with_the_inputs_of_its_model(api):
    response = await post(api, SEEDANCE, prompt="A fox", duration="10", resolution="1080p", cameraFixed="true")

    execution = (await api.client.get(f"/api{response.headers['location']}")).json()
    assert execution["name"] == "Seedance 1 Pro"
    assert execution["jobs"][0]["params"] == {
        "modelId": "bytedance/seedance-1-pro",
        "provider": "replicate",
        "prompt": "A fox",
        "duration": 10,
        "inputs": {"cameraFixed": True},
    }


async def test_a_form_shows_what_a_request_costs(api):
    empty = html.unescape(await page(api, SEEDANCE))
    sent = html.unescape((await post(api, SEEDANCE, prompt="", duration="10", resolution="480p")).text)
    unknown = html.unescape(await page(api, "/console/new/model?model=videos/default"))

    assert "$0.03 at 480p, $0.15 at 1080p per second (2026-11-22), by invoice" in empty
    assert "$ 0.75 with the default inputs" in empty
    assert "$ 0.30 with these inputs" in sent
    assert "Price not known" in unknown
    assert "with the default inputs" not in unknown


async def test_wrong_inputs_come_back_beside_their_fields(api):
    response = await post(api, SEEDANCE, prompt="", duration="99")

    assert response.status_code == 422
    for name, message in (("prompt", "required"), ("duration", "99 is above the maximum of 12")):
        part = response.text.partition(f'name="field.{name}"')[2].partition('<div class="field')[0]
        assert message in part, part


async def test_unknown_models_and_providers_are_not_found(api):
    for query, message in (
        ("model=flux", "There is no model"),
        ("model=luma/ray-3.2&provider=fal", "does not offer luma/ray-3.2, but luma"),
    ):
        response = await api.client.get(f"/console/new/model?{query}", headers={"Accept": "text/html"})
        assert (response.status_code, message in response.text) == (404, True)
