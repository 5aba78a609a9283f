"""API keys of providers, each checked by a request that costs nothing."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

from dotenv import dotenv_values
from pydantic import SecretStr

from callsheet.cli.diagnostics.findings import Finding, ok
from callsheet.cli.diagnostics.installation import Installation
from callsheet.domain.errors import CallsheetError
from callsheet.providers.base import BaseProvider
from callsheet.providers.catalog import ProviderClass, Providers, discover_providers, load_provider_classes
from callsheet.providers.registry import read_registry
from callsheet.settings import Settings

_SECONDS = 15.0
"""Time limit of the request to one provider."""


async def providers(installation: Installation) -> AsyncIterator[Finding]:
    """Check the key of every provider that has settings, all at once."""
    settings, classes = installation.settings, load_provider_classes()
    given = given_variables()
    async with discover_providers(settings) as found:
        named = [name for name in found if given & _variables(classes[name])]
        groups = await asyncio.gather(*(_findings(found, classes[name], settings, given) for name in named))
    for finding in groups:
        yield finding


def given_variables() -> set[str]:
    """Return the names of the variables that are set in the environment and in the file `.env`, in upper case."""
    file = Path(".env")
    in_file = dotenv_values(file) if file.is_file() else {}
    return {name.upper() for name, value in (*os.environ.items(), *in_file.items()) if value}


async def _findings(found: Providers, kind: ProviderClass, settings: Settings, given: set[str]) -> Finding:
    name = kind.name
    if (reason := found.why_not(name)) is not None:
        return Finding("providers.incomplete", reason, f"set what is missing, or remove {_set_names(kind, given)}")
    provider = found[name]
    request = provider.free_request(_model(settings, name)) if isinstance(provider, BaseProvider) else None
    if request is None or not isinstance(provider, BaseProvider):
        return ok("providers", f"{name} is set up; no request checks its key without cost")
    try:
        async with asyncio.timeout(_SECONDS):
            rejection = await provider.rejection_of_key(request)
    except (CallsheetError, TimeoutError) as error:
        reason = error.message if isinstance(error, CallsheetError) else f"no response in {_SECONDS:g} seconds"
        action = "check the network, the proxy and the URL of the provider in the settings, and run the check again"
        return Finding("providers.not_checked", f"the key of {name} could not be checked: {reason}", action)
    if rejection is None:
        return ok("providers", f"{name} accepts its key")
    return Finding(
        "providers.key_rejected",
        f"{name} rejects its key: {rejection}",
        f"set {_set_names(kind, given)} to a valid key of {name}",
    )


def _model(settings: Settings, provider: str) -> str | None:
    """Return the provider's name of one of its models; None if the registry has none."""
    models = read_registry(settings.models_file).values()
    return next((offer.model for model in models for offer in model.offers if offer.provider == provider), None)


def _variables(kind: ProviderClass) -> set[str]:
    """Return the variables that say that a provider is to be used: those of its required settings, and of its keys."""
    fields = kind.settings_class.model_fields
    names = [name for name, field in fields.items() if field.is_required() or _is_secret(field.annotation)]
    variables = [variable for name in names for variable in kind.settings_class.variables(name)]
    return {*variables, *(f"{variable}_FILE" for variable in variables)}


def _set_names(kind: ProviderClass, given: set[str]) -> str:
    """Return the variables of a provider's keys as they are set, else their main names."""
    secrets = [name for name, field in kind.settings_class.model_fields.items() if _is_secret(field.annotation)]
    choices = [(name, kind.settings_class.variables(name)) for name in secrets if name != "webhook_secret"]
    found = [
        next(
            (known for variable in variables for known in (variable, f"{variable}_FILE") if known in given),
            None,
        )
        for _, variables in choices
    ]
    present = [name for name in found if name is not None]
    return " and ".join(present or [variables[0] for _, variables in choices])


def _is_secret(annotation: object) -> bool:
    return annotation in (SecretStr, SecretStr | None)
