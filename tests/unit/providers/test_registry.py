"""Model registry: content, validation, and the models file."""

import os
from pathlib import Path

import pytest

from callsheet.domain.errors import ConfigurationError
from callsheet.providers.catalog import discover_providers
from callsheet.providers.model_inputs import to_provider_inputs, validate_inputs
from callsheet.providers.registry import read_registry
from callsheet.settings import Settings

SEEDANCE = "bytedance/seedance-1-pro"
OWN = """
- id: mine/model
  name: Mine
  makes: video
  aliases: [mine]
  offers:
    - provider: replicate
      model: me/model
      fixed: {watermark: false}
      parameters:
        prompt: {to: text, required: true, maxLength: 10}
        duration: {to: length, kind: integer, minimum: 2, maximum: 8, default: 4, asText: true}
        mode: {to: mode, choices: [fast, good]}
        image: {to: first_frame, kind: file}
        pictures: {to: refs, kind: files}
        loop: {to: loop, kind: boolean}
"""


@pytest.fixture
def own(tmp_path):
    """Write a models file and return the registry with it."""

    def read(text=OWN):
        file = tmp_path / "models.yaml"
        file.write_text(text)
        return read_registry(file)

    return read


def codes(problems):
    return {(problem.path, problem.code) for problem in problems}


def test_built_in_models_name_existing_providers():
    known = set(discover_providers(Settings(_env_file=None)))

    named = {offer.provider for model in read_registry().values() for offer in model.offers}

    assert named <= known


def test_built_in_models_accept_their_defaults():
    for model in read_registry().values():
        for offer in model.offers:
            given = {name: p.default for name, p in offer.parameters.items() if p.default is not None}
            assert [p for p in validate_inputs(offer, given) if p.code != "missing"] == [], model.id


def test_a_models_file_adds_and_replaces_models(own):
    registry = own(OWN + OWN.replace("mine/model", SEEDANCE).replace("[mine]", "[]"))

    assert registry["mine/model"].name == "Mine"
    assert registry["mine"] is registry["mine/model"]
    assert registry[SEEDANCE].name == "Mine"
    assert len(registry) == len(read_registry()) + 1


def test_a_changed_file_is_read_again(own, tmp_path):
    assert own()["mine"].name == "Mine"

    file = tmp_path / "models.yaml"
    file.write_text(OWN.replace("name: Mine", "name: Changed"))
    os.utime(file, ns=(1, 1))

    assert read_registry(file)["mine"].name == "Changed"


def test_all_problems_of_a_file_are_reported(own):
    with pytest.raises(ConfigurationError) as refused:
        own(
            "- {id: a, name: A, makes: film, offers: []}\n"
            "- {id: b, name: B, makes: video, offers: [{provider: p, model: m, parameters: {x: {to: x, kind: number, "
            "default: much}}}]}\n"
            "- {id: c, name: C, makes: video, aliases: [d], offers: [{provider: p, model: m, parameters: {}}]}\n"
            "- {id: d, name: D, makes: video, offers: [{provider: p, model: m, parameters: {}}]}\n"
        )

    message = refused.value.message
    assert "4 problems" in message
    assert "[0].makes" in message
    assert "[0].offers" in message
    assert "its default is invalid: a number is required" in message
    assert "[3]: 'd' is the id or alias of another model" in message


@pytest.mark.parametrize(
    ("text", "said"), [("- [", "not YAML"), ("models: {}", "list of models"), ("- 7", "[0]")], ids=["yaml", "map", "7"]
)
def test_a_file_without_a_list_of_models_is_rejected(own, text, said):
    with pytest.raises(ConfigurationError, match="models") as refused:
        own(text)

    assert said in refused.value.message


def test_a_missing_file_is_reported(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        read_registry(tmp_path / "none.yaml")


def test_an_unknown_model_is_reported_with_a_suggestion(own):
    [problem] = own().problems("mine/modl", {})

    assert (problem.path, problem.code) == ("modelId", "unknown_model")
    assert "did you mean 'mine/model'?" in problem.message


def test_all_invalid_inputs_are_reported(own):
    problems = own().problems(
        "mine",
        {"prompt": "far too long a prompt", "duration": 9, "mode": "slow", "image": "", "pictures": [7], "lop": True},
    )

    assert codes(problems) == {
        ("prompt", "invalid_value"),
        ("duration", "invalid_value"),
        ("mode", "invalid_value"),
        ("image", "invalid_value"),
        ("pictures", "invalid_value"),
        ("lop", "unknown_input"),
    }
    assert codes(own().problems("mine", {"duration": True})) == {("duration", "invalid_value"), ("prompt", "missing")}


def test_references_are_not_checked(own):
    given = {"prompt": "${write.text} and more than ten characters", "duration": "${cut.length}", "image": "${a.image}"}

    assert own().problems("mine", given) == []
    assert own().problems("${choose.model}", {}) == []


def test_one_fitting_offer_is_enough(own):
    registry = own(
        "- id: m\n  name: M\n  makes: video\n  offers:\n"
        "    - {provider: fal, model: text, parameters: {prompt: {to: prompt, required: true}}}\n"
        "    - {provider: fal, model: picture, parameters: {prompt: {to: prompt}, image: {to: image, kind: file}}}\n"
    )

    assert registry.problems("m", {"image": "https://example.com/a.png"}) == []
    assert registry.problems("m", {}, "fal") == []
    assert codes(registry.problems("m", {}, "luma")) == {("provider", "unknown_provider")}


def test_inputs_are_mapped_to_the_provider_s_names(own):
    [offer] = own()["mine"].offers

    assert to_provider_inputs(offer, {"prompt": "a fox", "mode": "fast"}) == {
        "text": "a fox",
        "length": "4",
        "mode": "fast",
        "watermark": False,
    }


def test_the_models_file_in_the_documentation_is_valid(own):
    page = (Path(__file__).parents[3] / "docs" / "generate.md").read_text()
    shown = page.partition("```yaml models\n")[2].partition("```")[0]

    assert "studio/talking-head" in own(shown)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ("{ratio: {to: a, choices: [1, 16:9]}}", "a text is required, not 1; texts like '2' need quotes"),
        ("{n: {to: a, kind: integer, choices: [1, two]}}", "an integer is required, not 'two'"),
        ("{n: {to: a, choices: []}}", "choices"),
        ("{n: {to: a, kind: integer, minimum: 5, maximum: 1}}", "its minimum, 5, is above its maximum, 1"),
        ("{n: {to: a, kind: number, minimum: .nan}}", "minimum"),
        ("{n: {to: a, kind: number, maximum: .inf}}", "maximum"),
        ("{n: {to: a, maxLength: -1}}", "maxLength"),
        ("{n: {to: a}, m: {to: a}}", "two parameters map to the provider's 'a'"),
    ],
)
def test_inconsistent_parameters_are_rejected(own, parameters, words):
    offer = f"{{provider: replicate, model: me/model, parameters: {parameters}}}"

    with pytest.raises(ConfigurationError) as refused:
        own(f"- {{id: mine/model, name: Mine, makes: video, offers: [{offer}]}}")

    assert "1 problem" in refused.value.message
    assert words in refused.value.message


@pytest.mark.parametrize("data", [b"- id: \xe9", b"[" * 5000, b"- id: a\0b"])
def test_a_file_that_is_not_yaml_is_rejected(tmp_path, data):
    file = tmp_path / "models.yaml"
    file.write_bytes(data)

    with pytest.raises(ConfigurationError, match=r"models\.yaml: (not YAML|nested too deeply)"):
        read_registry(file)


def test_an_alias_cannot_be_the_id_of_another_model(own):
    with pytest.raises(ConfigurationError, match=r"'google/veo-3\.1' is the id or alias of another model"):
        own(OWN.replace("[mine]", "[google/veo-3.1]"))


def test_an_alias_of_the_models_file_takes_precedence(own):
    replacing = OWN.replace("mine/model", SEEDANCE).replace("[mine]", "[gemini-omni-1.1-flash]")

    assert own(replacing)["gemini-omni-1.1-flash"].id == SEEDANCE
