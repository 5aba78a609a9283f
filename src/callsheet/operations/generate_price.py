"""What a `generate` job costs by the price of its model."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from callsheet.operation_api.contract import Estimate
from callsheet.operations.generate_params import GenerateParams
from callsheet.providers.model_inputs import validate_inputs
from callsheet.providers.model_records import LOCAL_COMFYUI, Offer
from callsheet.providers.prices import read_prices
from callsheet.providers.registry import read_registry
from callsheet.settings import Settings


def estimate_generation(params: Mapping[str, Any], settings: Settings) -> Estimate:
    """Return what a job costs at the first provider that its inputs fit. References have no known value yet."""
    try:
        parsed = GenerateParams.model_validate(params)
    except ValidationError:
        return Estimate(None)
    model = read_registry(settings.models_file).get(parsed.model_id)
    if model is None:
        return Estimate(None)
    offers = model.offers_by(parsed.provider)
    if offers and offers[0].provider == LOCAL_COMFYUI and len(offers) == 1:
        return Estimate(Decimal(0))
    fitting = [o for o in offers if o.provider != LOCAL_COMFYUI and not validate_inputs(o, parsed.given_inputs())]
    return Estimate(price_of(fitting[0], parsed.given_inputs(), settings.prices_file) if fitting else None)


def price_of(offer: Offer, given: Mapping[str, Any], prices_file: Path | None) -> Decimal | None:
    """Return what a request costs at a provider, in US dollars; None if its price, or what it counts, is not known."""
    price = read_prices(prices_file).get((offer.provider, offer.model), offer.unit_price)
    if price is None:
        return None
    defaults = {name: parameter.default for name, parameter in offer.parameters.items()}
    return price.cost(defaults | dict(given))
