"""Description of the models for the API and the CLI, with the providers that are configured here."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from pydantic import Field

from callsheet.domain.did_you_mean import did_you_mean
from callsheet.domain.errors import NotFound
from callsheet.domain.model import Model
from callsheet.providers.catalog import Providers
from callsheet.providers.model_records import (
    LOCAL_COMFYUI,
    GenerativeModel,
    Kind,
    Makes,
    Offer,
    Parameter,
    WaitStrategy,
)
from callsheet.providers.prices import Price, read_prices
from callsheet.providers.registry import read_registry
from callsheet.settings import Settings


class ParameterRecord(Model):
    """One input of a model."""

    name: str
    kind: Kind
    required: bool
    default: str | int | float | bool | None = None
    choices: list[str | int | float | bool] | None = Field(None, description="The allowed values")
    minimum: float | None = None
    maximum: float | None = None
    max_length: int | None = Field(None, description="Maximum number of characters")
    description: str = ""


class OfferRecord(Model):
    """A model as one provider offers it."""

    provider: str
    model: str = Field(description="The provider's name of the model")
    version: str | None = None
    ready: bool = Field(description="Whether the provider is configured in this process")
    why_not: str | None = Field(None, description="Why the provider cannot be used")
    waiting: WaitStrategy = Field(description="How the end of a task is noticed, where both are possible")
    price: str | None = Field(None, description="Price information for people, with its date")
    unit_price: Price | None = Field(None, description="Price as a number, if it is known")
    parameters: list[ParameterRecord]

    @property
    def price_text(self) -> str:
        """The price for people: the number with its date, else what is known of it."""
        if self.unit_price is not None:
            return self.unit_price.text
        if self.provider == LOCAL_COMFYUI:
            return "runs on own servers"
        return f"{self.price}; price not known" if self.price else "price not known"

    @property
    def price_summary(self) -> str:
        """The price in few words, for a list."""
        if self.unit_price is not None:
            return self.unit_price.summary
        return "own servers" if self.provider == LOCAL_COMFYUI else "not known"

    def cost(self, inputs: Mapping[str, Any]) -> Decimal | None:
        """Return what a request with these inputs costs, in US dollars; None if it is not known.

        Inputs that are not given have their defaults.
        """
        if self.unit_price is None:
            return None
        return self.unit_price.cost({each.name: each.default for each in self.parameters} | dict(inputs))


class ModelRecord(Model):
    """A model in the registry."""

    id: str
    name: str
    makes: Makes
    summary: str
    aliases: list[str]
    ready: bool = Field(description="Whether one of its providers is configured in this process")
    offers: list[OfferRecord] = Field(description="In order of preference")


Prices = Mapping[tuple[str, str], Price]
"""Prices of the prices file, by provider and its name of the model: they take precedence over those of the registry."""


def list_models(providers: Providers, settings: Settings) -> list[ModelRecord]:
    """Return the description of every model, sorted by id. Reads the models file and the prices file.

    Raises ConfigurationError if one of them is invalid.
    """
    registry, prices = read_registry(settings.models_file), read_prices(settings.prices_file)
    return [_model(registry[model_id], providers, prices) for model_id in sorted(registry)]


def describe_model(model_id: str, providers: Providers, settings: Settings) -> ModelRecord:
    """Return the description of a model by its id or an alias. Raises NotFound, and errors as `list_models`."""
    registry = read_registry(settings.models_file)
    if model_id not in registry:
        raise NotFound(f"There is no model '{model_id}'{did_you_mean(model_id, registry) or '.'}")
    return _model(registry[model_id], providers, read_prices(settings.prices_file))


def _model(model: GenerativeModel, providers: Providers, prices: Prices) -> ModelRecord:
    offers = [_offer(offer, providers, prices) for offer in model.offers]
    return ModelRecord(
        id=model.id,
        name=model.name,
        makes=model.makes,
        summary=model.summary,
        aliases=sorted(model.aliases),
        ready=any(offer.ready for offer in offers),
        offers=offers,
    )


def _offer(offer: Offer, providers: Providers, prices: Prices) -> OfferRecord:
    why_not = None if offer.provider == LOCAL_COMFYUI else providers.why_not(offer.provider)
    return OfferRecord(
        provider=offer.provider,
        model=offer.model,
        version=offer.version,
        ready=why_not is None,
        why_not=why_not,
        waiting=offer.waiting,
        price=offer.price,
        unit_price=prices.get((offer.provider, offer.model), offer.unit_price),
        parameters=[_parameter(name, parameter) for name, parameter in offer.parameters.items()],
    )


def _parameter(name: str, parameter: Parameter) -> ParameterRecord:
    return ParameterRecord(name=name, **parameter.model_dump(exclude={"to", "as_text"}))
