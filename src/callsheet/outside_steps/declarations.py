"""The steps file: which commands and endpoints a plan may use.

commands:
  - name: word-count
    command: [node, /opt/steps/word-count.mjs]
endpoints:
  - name: thumbnails
    url: https://thumbnails.internal/jobs
    secretFile: /run/secrets/thumbnails
"""

import os
from datetime import timedelta
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar
from urllib.parse import urlsplit

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from referencing import Registry

from callsheet.domain.did_you_mean import did_you_mean
from callsheet.domain.document_limits import DocumentError
from callsheet.domain.durations import Duration
from callsheet.domain.errors import ConfigurationError, NotConfigured, Problem
from callsheet.domain.model import Model
from callsheet.domain.references import has_reference
from callsheet.domain.standard_webhooks import read_secret_text
from callsheet.domain.text_form import TextForm
from callsheet.domain.validation_problems import all_problems, validation_error
from callsheet.domain.yaml_text import read_yaml
from callsheet.settings import Settings

_MAX_PROBLEMS = 20
_FOLDER = "{folder}"
"""Stands for the folder of the steps file in a command."""

StepName = Annotated[
    str, TextForm(r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", "a name of lowercase letters, digits and single hyphens")
]
VariableName = Annotated[str, TextForm(r"^[A-Za-z_][A-Za-z0-9_]{0,99}$", "the name of an environment variable")]


class Step(Model):
    """What commands and endpoints have in common."""

    name: StepName
    description: str = Field("", max_length=2_000)
    timeout: Duration = Field(timedelta(minutes=10), gt=timedelta(0), description="Time limit of one run")
    params: dict[str, Any] = Field(
        default_factory=lambda: {"type": "object"}, description="JSON Schema (2020-12) of the params"
    )

    @field_validator("params")
    @classmethod
    def _check_schema(cls, value: dict[str, Any]) -> dict[str, Any]:
        try:
            Draft202012Validator.check_schema(value)
        except SchemaError as error:
            raise ValueError(f"is no JSON Schema: {error.message}") from None
        return value

    @cached_property
    def _validator(self) -> Draft202012Validator:
        # Without a registry of its own, the library would download schemas that `$ref` names.
        return Draft202012Validator(self.params, registry=Registry())

    def problems(self, params: Any) -> list[Problem]:
        """Return the problems of params. Values that are references are not known yet, and are left out."""
        found: list[Problem] = []
        for error in self._validator.iter_errors(params):
            if isinstance(error.instance, str) and has_reference(error.instance):
                continue
            path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.absolute_path)
            found.append(Problem(f"params{path}", "invalid_value", error.message[:500]))
            if len(found) == _MAX_PROBLEMS:
                break
        return found


class CommandStep(Step):
    """A program on the worker's machine."""

    command: list[str] = Field(
        min_length=1,
        max_length=100,
        description="Program and arguments; no shell is used. `{folder}` is the folder of the steps file",
    )
    environment: list[VariableName] = Field(
        default_factory=list, description="Variables of the worker that the program gets, besides PATH and HOME"
    )
    memory_bytes: int | None = Field(None, ge=2**20, description="Limit of its resident memory")

    @field_validator("command")
    @classmethod
    def _check_command(cls, value: list[str]) -> list[str]:
        if not value[0] or any("\0" in part for part in value):
            raise ValueError("the first item must be a program, and no item may contain a NUL character")
        return value


class EndpointStep(Step):
    """A server that runs the step."""

    url: str = Field(description="It receives `POST` with the request; it may be on a private network")
    secret: SecretStr | None = Field(None, description="`whsec_…`; signs the requests (Standard Webhooks)")
    secret_file: Path | None = Field(None, description="File with the secret, instead of `secret`")

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("must be a URL that starts with https:// or http://")
        if parts.username or parts.password:
            raise ValueError("must not contain a user or a password")
        return value

    @model_validator(mode="after")
    def _check_secret(self) -> Self:
        if self.secret is None:
            return self
        if self.secret_file is not None:
            raise validation_error(
                [Problem("secret", "conflicting_fields", "set secret or secretFile, not both")], "endpoint"
            )
        try:
            read_secret_text(self.secret.get_secret_value())
        except ValueError as error:
            # The message of another error would contain the secret.
            raise validation_error([Problem("secret", "bad_value", str(error))], "endpoint") from None
        return self

    def secret_bytes(self) -> bytes | None:
        """Return the secret; None without one. Raises ConfigurationError if its file is wrong."""
        try:
            if self.secret_file is not None:
                return read_secret_text(self.secret_file.read_text("utf-8").strip())
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"The secret of the endpoint '{self.name}' cannot be read: {error}") from None
        return None if self.secret is None else read_secret_text(self.secret.get_secret_value())


class Steps(Model):
    """All steps of a steps file."""

    commands: list[CommandStep] = Field(default_factory=list)
    endpoints: list[EndpointStep] = Field(default_factory=list)

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        for group in (self.commands, self.endpoints):
            names = [step.name for step in group]
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"several steps have the name {', '.join(twice)}")
        return self


def read_steps(settings: Settings) -> Steps:
    """Return the steps of the steps file; none without a file. The result is cached until the file changes.

    Raises ConfigurationError with every problem of the file.
    """
    path = settings.steps_file
    if path is None:
        return Steps()
    try:
        return _read(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise ConfigurationError(f"The steps file {path} cannot be read: {error.strerror}") from None


@lru_cache(maxsize=4)
def _read(path: Path, _modified: int) -> Steps:
    try:
        data = read_yaml(path.read_bytes()) or {}
    except DocumentError as error:
        raise ConfigurationError(f"{os.fspath(path)}: {error.located}") from None
    try:
        steps = Steps.model_validate(data)
    except ValidationError as error:
        problems = "\n  ".join(map(repr, all_problems(error, Steps, data)))
        raise ConfigurationError(f"{os.fspath(path)} is invalid:\n  {problems}") from None
    folder = str(path.absolute().parent)
    for step in steps.commands:
        step.command = [part.replace(_FOLDER, folder) for part in step.command]
    return steps


S = TypeVar("S", bound=Step)


def find_step(name: str, steps: list[S], kind: str, settings: Settings) -> S:
    """Return a step by its name. Raises NotConfigured if there is none; `kind` is `command` or `endpoint`."""
    for step in steps:
        if step.name == name:
            return step
    if settings.steps_file is None:
        raise NotConfigured(f"there is no {kind} '{name}': CALLSHEET_STEPS_FILE is not set")
    known = [step.name for step in steps]
    raise NotConfigured(
        f"there is no {kind} '{name}'{did_you_mean(name, known)}; the steps file has: {', '.join(known) or 'none'}"
    )
