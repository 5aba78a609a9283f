"""Inputs of a model: validation against an offer, and mapping to the provider's names."""

from collections.abc import Mapping
from typing import Any

from callsheet.domain.did_you_mean import did_you_mean
from callsheet.domain.errors import Problem
from callsheet.domain.references import has_reference
from callsheet.providers.model_records import Offer


def validate_inputs(offer: Offer, inputs: Mapping[str, Any]) -> list[Problem]:
    """Return the problems of all unknown, invalid and missing inputs. References are not checked."""
    problems: list[Problem] = []
    for name, value in inputs.items():
        parameter = offer.parameters.get(name)
        if parameter is None:
            known = f"; it has {', '.join(offer.parameters)}"
            message = f"{offer.model} has no input '{name}'{did_you_mean(name, offer.parameters) or known}"
            problems.append(Problem(name, "unknown_input", message))
        elif not has_reference(value) and (invalid := parameter.problem(value)) is not None:
            problems.append(Problem(name, "invalid_value", invalid))
    missing = [name for name, p in offer.parameters.items() if p.required and p.default is None and name not in inputs]
    return [*problems, *(Problem(name, "missing", f"{offer.model} requires it") for name in missing)]


def to_provider_inputs(offer: Offer, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs with the provider's names, the defaults and the fixed inputs of the offer."""
    provider_inputs = dict(offer.fixed)
    for name, parameter in offer.parameters.items():
        value = inputs.get(name, parameter.default)
        if value is not None:
            provider_inputs[parameter.to] = str(value) if parameter.as_text else value
    return provider_inputs
