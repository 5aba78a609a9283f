"""The registry of models in the API."""

import pytest


@pytest.fixture
def settings(settings, tmp_path):
    file = tmp_path / "models.yaml"
    file.write_text(
        "- {id: mine/one, name: Mine, makes: image, aliases: [mine], offers: [\n"
        "    {provider: replicate, model: me/one, parameters: {prompt: {to: text, required: true, maxLength: 9},\n"
        "     steps: {to: n, kind: integer, choices: [4, 8], default: 4}}},\n"
        "    {provider: fal, model: fal/one, parameters: {}}]}\n"
    )
    return settings.model_copy(update={"models_file": file})


async def test_models_are_listed_with_those_of_the_models_file(api):
    models = (await api.client.get("/api/models")).json()["models"]

    ids = [model["id"] for model in models]
    assert ids == sorted(ids)
    assert {"mine/one", "bytedance/seedance-1-pro"} <= set(ids)


@pytest.mark.parametrize("name", ["mine/one", "mine"])
async def test_a_model_has_its_offers_missing_settings_and_parameters(api, name):
    model = (await api.client.get(f"/api/models/{name}")).json()

    first, second = model.pop("offers")
    assert model == {
        "id": "mine/one",
        "name": "Mine",
        "makes": "image",
        "summary": "",
        "aliases": ["mine"],
        "ready": False,
    }
    assert (first["provider"], first["model"], first["ready"]) == ("replicate", "me/one", False)
    assert "REPLICATE_API_TOKEN" in first["whyNot"]
    assert "FAL_KEY" in second["whyNot"]
    prompt, steps = first["parameters"]
    assert (prompt["name"], prompt["required"], prompt["maxLength"]) == ("prompt", True, 9)
    assert (steps["default"], steps["choices"]) == (4, [4, 8])


async def test_an_unknown_model_is_not_found(api):
    response = await api.client.get("/api/models/bytedance/seedance-1-prow")

    assert response.status_code == 404
    assert "did you mean 'bytedance/seedance-1-pro'?" in response.json()["detail"]
