"""Prices of models, and what requests cost by them."""

from decimal import Decimal

import pytest
from pydantic import ValidationError

from callsheet.domain.errors import ConfigurationError
from callsheet.operations.generate_price import estimate_generation
from callsheet.providers.prices import Price, read_prices
from callsheet.providers.registry import read_registry
from callsheet.settings import Settings

READ = {"date": "2026-11-22", "source": "https://example.com/prices"}


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
    ],
)
def test_a_price_is_counted_by_its_unit(price, inputs, cost):
    found = Price(**price, **READ).cost(inputs)

    assert found == (None if cost is None else Decimal(cost))


@pytest.mark.parametrize("price", [{"per": "run"}, {"per": "run", "amount": 1, "by": "x", "amounts": {"a": 1}}])
def test_a_price_has_one_amount_or_one_for_each_value(price):
    with pytest.raises(ValidationError, match="either `amount`"):
        Price(**price, **READ)


def test_prices_that_come_with_callsheet_have_a_date_and_a_source():
    prices = [offer.unit_price for model in read_registry().values() for offer in model.offers if offer.unit_price]

    assert len(prices) >= 3
    assert all(price.source.startswith("https://") and price.date.year >= 2026 for price in prices)


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
        {"model": "bytedance/seedance-1-pro", "prompt": "A fox"},
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
