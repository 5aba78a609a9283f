"""Environment variables that have no effect: misspelled names, and settings of systems that Callsheet replaces."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from callsheet.domain.did_you_mean import did_you_mean

_PREFIX = "CALLSHEET_"
_COMMON = {"CALLSHEET_URL", "CALLSHEET_API_KEY", "CALLSHEET_API_KEY_FILE", "CALLSHEET_DATA_DIR"}
"""Variables of most client machines: known without the settings, whose import takes time."""
_OTHERS = ("CALLSHEET_URL", "CALLSHEET_LIFELINE")
_TESTS = "CALLSHEET_TEST"

_RETRIES = "each operation sets its attempts, and a job its `retries`; CALLSHEET_RETRY_BASE is the backoff"
UNUSED: Mapping[str, str] = {
    "ML_SERVICE_URL": "models are used through providers and ComfyUI; see `callsheet models`",
    "WORKER_JOB_ATTEMPTS": _RETRIES,
    "WORKER_JOB_BACKOFF_DELAY_MS": _RETRIES,
}
"""Variables of other systems that no setting reads → what to use instead."""

_SIGNS_OF_A_PRODUCT = {"BULL_PREFIX", "CALLSHEET_BULLMQ_QUEUES", "CALLSHEET_STATUS_PUSH_URL", "WORKER_API_URL"}
"""Variables of an installation whose API_BASE_URL may be the API of the product."""


def unknown_variables() -> list[str]:
    """Return a line for each variable `CALLSHEET_…` that no setting reads, with the closest known name."""
    given = {name for name in _given() if name.startswith(_PREFIX) and not name.startswith(_TESTS)}
    if given <= _COMMON:
        return []
    unknown = given - _own_variables()
    if not unknown:
        return []
    # The settings of providers last: this imports them.
    known = _own_variables() | set(_provider_variables())
    return [f"{name} is not a setting{did_you_mean(name, known)}" for name in sorted(unknown - known)]


def unused_variables() -> list[str]:
    """Return a line for each variable of another system that is set here and has no effect."""
    return [f"{name} has no effect: {UNUSED[name]}" for name in sorted(UNUSED.keys() & _given())]


def ambiguous_api_base_url() -> str | None:
    """Return a line if API_BASE_URL can mean both the URL of this server and the API of the product."""
    given = _given()
    signs = sorted(given & _SIGNS_OF_A_PRODUCT)
    if "API_BASE_URL" not in given or "CALLSHEET_API_BASE_URL_IS" in given or not signs:
        return None
    return (
        f"API_BASE_URL is read as the URL of this server, but {signs[0]} is set, too. If API_BASE_URL is the API of "
        "your product, set CALLSHEET_API_BASE_URL_IS=product; else set it to callsheet"
    )


def _given() -> set[str]:
    return {name.upper() for name in (*os.environ, *_in_env_file())}


def _in_env_file() -> Iterable[str]:
    file = Path(".env")
    if not file.is_file():
        return ()
    from dotenv import dotenv_values

    return dotenv_values(file)


def _own_variables() -> set[str]:
    from pydantic import AliasChoices

    from callsheet.settings import Settings

    aliases = [field.validation_alias for field in Settings.model_fields.values()]
    names = {str(name).upper() for alias in aliases if isinstance(alias, AliasChoices) for name in alias.choices}
    return names | {f"{name}_FILE" for name in names} | {*_OTHERS}


def _provider_variables() -> Iterator[str]:
    from callsheet.providers.catalog import load_provider_classes

    for provider in load_provider_classes().values():
        for field in provider.settings_class.model_fields:
            for name in provider.settings_class.variables(field):
                yield name
                yield f"{name}_FILE"
