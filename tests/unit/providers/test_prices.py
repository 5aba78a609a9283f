"""Prices of models, and what requests cost by them."""

from decimal import Decimal
from itertools import product

import pytest
from pydantic import ValidationError

from callsheet.domain.errors import ConfigurationError
from callsheet.operations.generate_price import estimate_generation, price_of
from callsheet.providers.prices import Price, read_prices
from callsheet.providers.registry import read_registry
from callsheet.settings import Settings

READ = {"date": "2026-11-22", "source": "https://example.com/prices"}
ROWS = [
    {"when": {"resolution": "720p", "duration": 5}, "amount": 0.3},
    {"when": {"resolution": "720p", "duration": 10}, "amount": 0.9},
    {"when": {"sound": True}, "amount": 0.2},
]

UNKNOWN = {
    # The price of two megapixels or of one: sources disagree.
    "fal-ai/flux/dev": [{"imageSize": "square_hd"}],
    # Only one source states it.
    "ray-3.2": [{"resolution": "360p", "duration": 10}],
}
"""Values of inputs whose price is not known, by the provider's name of the model."""
OWN_SERVERS = {"videos"}
"""Providers without a list price: the address and the price are those of the operator."""


@pytest.mark.parametrize(
    ("price", "inputs", "cost"),
    [
        ({"amount": 0.05, "per": "second"}, {"duration": 10}, "0.5"),
        ({"amount": 0.05, "per": "second"}, {"duration": None}, None),
        ({"amount": 0.04, "per": "run"}, {}, "0.04"),
        ({"amount": 0.025, "per": "megapixel"}, {"size": "1000x2000"}, "0.05"),
        ({"amount": 0.025, "per": "megapixel"}, {"width": 1000, "height": 1000}, "0.025"),
        ({"amount": 0.025, "per": "megapixel"}, {"size": "square"}, None),
        ({"amount": "0.000002", "per": "token"}, {"maxTokens": 1000}, "0.002"),
        ({"by": "resolution", "amounts": {"720p": 0.1}, "per": "second"}, {"resolution": "720p", "duration": 5}, "0.5"),
        ({"by": "resolution", "amounts": {"720p": 0.1}, "per": "second"}, {"resolution": "8k", "duration": 5}, None),
        ({"amount": 0.05, "per": "second"}, {"duration": True}, None),
        ({"by": "sound", "amounts": {"true": 0.4, "false": 0.2}, "per": "run"}, {"sound": True}, "0.4"),
        ({"by": "sound", "amounts": {"true": 0.4, "false": 0.2}, "per": "run"}, {"sound": False}, "0.2"),
        ({"by": "sound", "amounts": {"true": 0.4, "false": 0.2}, "per": "run"}, {"sound": None}, None),
        ({"by": "steps", "amounts": {"8": 0.1}, "per": "run"}, {"steps": 8}, "0.1"),
        ({"by": "steps", "amounts": {"8": 0.1, "0.5": 0.2}, "per": "run"}, {"steps": 8.0}, "0.1"),
        ({"by": "steps", "amounts": {"8": 0.1, "0.5": 0.2}, "per": "run"}, {"steps": 0.5}, "0.2"),
        ({"rows": ROWS, "per": "run"}, {"resolution": "720p", "duration": 5, "sound": False}, "0.3"),
        ({"rows": ROWS, "per": "run"}, {"resolution": "720p", "duration": 10, "sound": True}, "0.9"),
        ({"rows": ROWS, "per": "second"}, {"resolution": "480p", "duration": 10, "sound": True}, "2"),
        ({"rows": ROWS, "per": "run"}, {"resolution": "480p", "duration": 10, "sound": False}, None),
        ({"rows": ROWS, "per": "run"}, {"resolution": "720p"}, None),
    ],
)
def test_a_price_is_counted_by_its_unit(price, inputs, cost):
    found = Price(**price, **READ).cost(inputs)

    assert found == (None if cost is None else Decimal(cost))


@pytest.mark.parametrize(
    "price",
    [
        {"per": "run"},
        {"per": "run", "by": "x"},
        {"per": "run", "amounts": {"a": 1}},
        {"per": "run", "amount": 1, "amounts": {"a": 1}},
        {"per": "run", "amount": 1, "by": "x", "amounts": {"a": 1}},
        {"per": "run", "amount": 1, "rows": ROWS},
        {"per": "run", "by": "x", "amounts": {"a": 1}, "rows": ROWS},
    ],
)
def test_a_price_has_one_amount_or_one_for_each_value(price):
    with pytest.raises(ValidationError, match="either `amount`"):
        Price(**price, **READ)


def test_a_row_without_conditions_is_refused():
    with pytest.raises(ValidationError, match="when"):
        Price(rows=[{"when": {}, "amount": 1}], per="run", **READ)


@pytest.mark.parametrize("when", [{"resolution": "720p", "duration": 5}, {"sound": "true", "duration": 7}])
def test_a_row_that_never_applies_is_refused(when):
    with pytest.raises(ValidationError, match=r"rows\[3\] never applies: rows\[[02]\] fits first"):
        Price(rows=[*ROWS, {"when": when, "amount": 1}], per="run", **READ)


def test_people_read_the_amounts_of_a_price_with_what_they_depend_on():
    rows = Price(rows=ROWS, per="run", **READ)
    equal = Price(by="size", amounts={"hd": 0.1, "small": 0.05, "wide": 0.05}, per="run", **READ)
    one = Price(amount=0.125, per="second", **READ)

    assert (
        rows.text
        == "$0.30 at 720p and duration 5, $0.90 at 720p and duration 10, $0.20 at sound true per run (2026-11-22)"
    )
    assert equal.text == "$0.10 at hd, $0.05 at small or wide per run (2026-11-22)"
    assert one.text == "$0.125 per second (2026-11-22)"
    assert [price.summary for price in (rows, equal, one)] == [
        "$0.20 to $0.90 per run",
        "$0.05 to $0.10 per run",
        "$0.125 per second",
    ]


def offers():
    return [offer for model in read_registry().values() for offer in model.offers]


def test_prices_that_come_with_callsheet_have_a_date_and_a_source():
    prices = [offer.unit_price for offer in offers() if offer.unit_price]

    assert len(prices) >= 10
    assert all(price.source.startswith("https://") and price.date.year >= 2026 for price in prices)


@pytest.mark.parametrize("offer", offers(), ids=lambda offer: f"{offer.provider}-{offer.model}")
def test_every_request_to_a_cloud_provider_has_a_price_but_those_that_are_known_to_have_none(offer):
    """Tries each combination of values that have choices."""
    assert (offer.unit_price is None) is (offer.provider in OWN_SERVERS)
    if offer.unit_price is None:
        return
    chosen = {name: each.choices for name, each in offer.parameters.items() if each.choices}
    chosen |= {name: [True, False] for name, each in offer.parameters.items() if each.kind == "boolean"}
    requests = [dict(zip(chosen, values, strict=True)) for values in product(*chosen.values())]
    unknown = [each for each in requests if price_of(offer, each, None) is None]

    expected = [
        each for each in requests if any(values.items() <= each.items() for values in UNKNOWN.get(offer.model, []))
    ]
    assert unknown == expected
    assert price_of(offer, {}, None) is not None


@pytest.mark.parametrize(
    ("model", "inputs", "cost"),
    [
        # What providers state for one output.
        ("bytedance/seedance-1-pro", {"provider": "fal"}, "0.62"),
        ("bytedance/seedance-1-pro", {"provider": "replicate"}, "0.75"),
        ("bytedance/seedance-1-pro", {"provider": "replicate", "duration": 10, "resolution": "480p"}, "0.30"),
        ("wan-video/wan-2.2-t2v-fast", {}, "0.05"),
        ("wan-video/wan-2.2-t2v-fast", {"resolution": "720p"}, "0.10"),
        ("black-forest-labs/flux-1.1-pro", {}, "0.04"),
        ("fal-ai/flux/dev", {}, "0.025"),
        ("google/gemini-omni", {"duration": 8}, "0.81088"),
        ("google/veo-3.1", {}, "3.20"),
        ("google/veo-3.1", {"generateAudio": False}, "1.60"),
        ("google/veo-3.1", {"resolution": "1080p", "duration": 4}, "1.60"),
        ("luma/ray-3.2", {}, "0.30"),
        ("luma/ray-3.2", {"duration": 10, "resolution": "1080p"}, "3.60"),
        ("runway/gen4_turbo", {"image": "https://example.com/a.png"}, "0.25"),
        ("kling/kling-v2-1", {}, "0.28"),
        ("kling/kling-v2-1", {"mode": "pro", "duration": 10}, "0.98"),
    ],
)
def test_an_estimate_is_what_the_provider_states_and_counts_defaults(model, inputs, cost):
    given = {name: value for name, value in inputs.items() if name in ("provider", "duration", "image", "resolution")}
    others = {name: value for name, value in inputs.items() if name not in given}
    params = {"modelId": model, "prompt": "A fox", **given, "inputs": others}

    assert estimate_generation(params, Settings(_env_file=None)).dollars == Decimal(cost)


@pytest.mark.parametrize(("resolution", "width", "height"), [("480p", 854, 480), ("720p", 1280, 720)])
def test_a_price_per_million_video_tokens_is_one_per_second(resolution, width, height):
    [offer] = [each for each in offers() if each.model.startswith("fal-ai/bytedance/seedance")]
    tokens_per_second = Decimal(width * height * 24) / 1024

    assert offer.unit_price.amounts[resolution] == round(tokens_per_second * Decimal("2.50") / 1_000_000, 3)


@pytest.mark.parametrize(("resolution", "tokens_per_second"), [("720p", 5792), ("1080p", 8688)])
def test_a_price_by_tokens_of_the_output_is_one_per_second(resolution, tokens_per_second):
    [offer] = [each for each in offers() if each.provider == "google"]

    assert offer.unit_price.amounts[resolution] == tokens_per_second * Decimal("17.50") / 1_000_000


def test_a_prices_file_takes_precedence_and_follows_changes(tmp_path):
    file = tmp_path / "prices.yaml"
    settings = Settings(_env_file=None, prices_file=file)
    params = {"model": "runway/gen4_turbo", "image": "https://example.com/a.png", "prompt": "A fox", "duration": 10}
    file.write_text("{}")
    assert estimate_generation(params, settings).dollars == Decimal("0.50")

    file.write_text('runway: {gen4_turbo: {amount: 0.10, per: second, date: "2026-11-22", source: invoice}}')

    assert estimate_generation(params, settings).dollars == Decimal("1.00")


def test_a_cost_that_is_not_known_is_none(tmp_path):
    settings = Settings(_env_file=None)
    for params in (
        {"model": "fal-ai/flux/dev", "prompt": "A fox", "inputs": {"imageSize": "square_hd"}},
        {"model": "videos/default", "prompt": "A fox"},
        {"model": "${pick.model}", "prompt": "A fox"},
        {"model": "runway/gen4_turbo", "prompt": "A fox", "duration": "${pick.seconds}"},
    ):
        assert estimate_generation(params, settings).dollars is None


def test_an_invalid_prices_file_is_reported_with_the_place(tmp_path):
    file = tmp_path / "prices.yaml"
    file.write_text("runway: {gen4_turbo: {amount: -1, per: hour}}")

    with pytest.raises(ConfigurationError, match=r"runway\.gen4_turbo\.amount"):
        read_prices(file)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_prices(tmp_path / "missing.yaml")
