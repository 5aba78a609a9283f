"""Model registry: the models that come with Callsheet and those of the models file."""

import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from callsheet.domain.did_you_mean import did_you_mean
from callsheet.domain.document_limits import DocumentError
from callsheet.domain.errors import ConfigurationError, Problem
from callsheet.domain.validation_problems import all_problems
from callsheet.domain.yaml_text import read_yaml
from callsheet.providers.model_inputs import validate_inputs
from callsheet.providers.model_records import GenerativeModel


class Registry(Mapping[str, GenerativeModel]):
    """Models by id and by alias. Iteration yields the ids."""

    def __init__(self, models: Mapping[str, GenerativeModel]) -> None:
        self._models = dict(models)
        self._by_name = {alias: model for model in models.values() for alias in model.aliases} | self._models

    def __getitem__(self, name: str) -> GenerativeModel:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)

    def problems(self, model_id: str, inputs: Mapping[str, Any], provider: str | None = None) -> list[Problem]:
        """Return the problems of a request; with `provider`, only the offers of that provider are considered.

        The request is valid if it fits one offer. If it fits none, the problems of the closest offer are returned.
        """
        if "${" in model_id:
            return []  # a reference is resolved when the job runs
        model = self._by_name.get(model_id)
        if model is None:
            message = f"there is no model '{model_id}'{did_you_mean(model_id, self._by_name)}"
            return [Problem("modelId", "unknown_model", message)]
        offers = model.offers_by(provider)
        if not offers:
            known = ", ".join(dict.fromkeys(offer.provider for offer in model.offers))
            return [Problem("provider", "unknown_provider", f"{model.id} is offered by {known}, not by '{provider}'")]
        return min((validate_inputs(offer, inputs) for offer in offers), key=_distance)


def _distance(problems: list[Problem]) -> tuple[int, int]:
    return sum(problem.code == "unknown_input" for problem in problems), len(problems)


def read_registry(models_file: Path | None = None) -> Registry:
    """Return the models that come with Callsheet and those of a models file, which take precedence.

    The result is cached until the file changes. Raises ConfigurationError with every problem of the file.
    """
    modified = models_file.stat().st_mtime_ns if models_file is not None and models_file.exists() else 0
    return _read(models_file, modified)


@lru_cache(maxsize=4)
def _read(models_file: Path | None, _modified: int) -> Registry:
    models = _parse(files("callsheet.providers").joinpath("models.yaml").read_bytes(), "models.yaml")
    if models_file is None:
        return Registry(models)
    try:
        content = models_file.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"The models file {models_file} cannot be read: {error.strerror}") from None
    added = _parse(content, os.fspath(models_file), frozenset(models))
    # Added models come last: of two models with the same alias, the later one gets it.
    return Registry({known: model for known, model in models.items() if known not in added} | added)


def _parse(content: bytes, file_name: str, reserved: frozenset[str] = frozenset()) -> dict[str, GenerativeModel]:
    """Return the models of a file; `reserved` ids cannot be aliases. Raises ConfigurationError with every problem."""
    try:
        entries = read_yaml(content) or []
    except DocumentError as error:
        raise ConfigurationError(f"{file_name}: {error.located}") from None
    if not isinstance(entries, list):
        raise ConfigurationError(f"{file_name} must contain a list of models")
    models: dict[str, GenerativeModel] = {}
    problems: list[str] = []
    for index, entry in enumerate(entries):
        try:
            model = GenerativeModel.model_validate(entry)
        except ValidationError as error:
            problems += [f"[{index}].{problem!r}" for problem in all_problems(error, GenerativeModel, entry)]
            continue
        used = {name for other in models.values() for name in (other.id, *other.aliases)}
        duplicates = [model.id] if model.id in used else []
        duplicates += [alias for alias in model.aliases if alias in used | reserved]
        problems += [f"[{index}]: '{name}' is the id or alias of another model" for name in duplicates]
        models[model.id] = model
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise ConfigurationError(f"{file_name} has {count}:\n  " + "\n  ".join(problems))
    return models
