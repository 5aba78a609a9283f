"""The models as they are shown: who offers them, and who of those can be asked here."""

from pydantic import Field

from callsheet.domain.model import Model
from callsheet.providers.catalog import Providers
from callsheet.providers.registry import (
    LOCAL_COMFYUI,
    GenerativeModel,
    Kind,
    Makes,
    Offer,
    Parameter,
    Registry,
    WaitStrategy,
)


class ParameterRecord(Model):
    """One input of a model."""

    name: str
    kind: Kind
    required: bool
    default: str | int | float | bool | None = None
    choices: list[str | int | float | bool] | None = Field(None, description="The only values that it may have")
    minimum: float | None = None
    maximum: float | None = None
    max_length: int | None = Field(None, description="Characters")
    description: str = ""


class OfferRecord(Model):
    """A model as one provider has it."""

    provider: str
    model: str = Field(description="By the provider's own name")
    version: str | None = None
    ready: bool = Field(description="Whether the provider is set up where this was asked")
    why_not: str | None = Field(None, description="What is missing")
    waiting: WaitStrategy = Field(description="How its end is learned of, where both work")
    price: str | None = Field(None, description="For people, with the day it was seen")
    parameters: list[ParameterRecord]


class ModelRecord(Model):
    """A model in the registry."""

    id: str
    name: str
    makes: Makes
    summary: str
    aliases: list[str]
    ready: bool = Field(description="Whether one of its providers is set up where this was asked")
    offers: list[OfferRecord] = Field(description="In the order they are asked in")


def list_models(registry: Registry, providers: Providers) -> list[ModelRecord]:
    """Describe every model, by id."""
    return [describe_model(registry[model_id], providers) for model_id in sorted(registry)]


def describe_model(model: GenerativeModel, providers: Providers) -> ModelRecord:
    """Describe one model."""
    offers = [_offer(offer, providers) for offer in model.offers]
    return ModelRecord(
        id=model.id,
        name=model.name,
        makes=model.makes,
        summary=model.summary,
        aliases=sorted(model.aliases),
        ready=any(offer.ready for offer in offers),
        offers=offers,
    )


def _offer(offer: Offer, providers: Providers) -> OfferRecord:
    why_not = None if offer.provider == LOCAL_COMFYUI else providers.why_not(offer.provider)
    return OfferRecord(
        provider=offer.provider,
        model=offer.model,
        version=offer.version,
        ready=why_not is None,
        why_not=why_not,
        waiting=offer.waiting,
        price=offer.price,
        parameters=[_parameter(name, parameter) for name, parameter in offer.parameters.items()],
    )


def _parameter(name: str, parameter: Parameter) -> ParameterRecord:
    return ParameterRecord(name=name, **parameter.model_dump(exclude={"to", "as_text"}))
