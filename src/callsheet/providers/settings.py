"""Settings of one provider: base class and reading from the environment."""

from typing import Any, TypeVar, get_args

from pydantic import AliasChoices, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from callsheet.domain.errors import ConfigurationError
from callsheet.settings.header_keys import check_header_key
from callsheet.settings.secret_files import read_secret_file


class ProviderSettings(BaseSettings):
    """Base class of a provider's settings.

        class AcmeSettings(ProviderSettings):
            model_config = SettingsConfigDict(env_prefix="CALLSHEET_ACME_")
            api_key: SecretStr = Field(description="API key of Acme")
            url: str = Field("https://api.acme.example", description="Base URL of the API of Acme")

    A field is read from the variable `<env_prefix><FIELD>`, or from the names in its `validation_alias`, in this
    order; variables come from the environment and from the file `.env` in the working folder. Empty values are
    ignored. A `SecretStr` without a variable is read from the file whose path is in `<env_prefix><FIELD>_FILE`. A field
    without a default is required: without it, the provider is not configured. A `SecretStr` is sent in HTTP headers, so
    it must consist of printable ASCII characters.
    """

    model_config = SettingsConfigDict(
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        populate_by_name=True,
        validate_default=True,
        hide_input_in_errors=True,
    )

    @classmethod
    def variables(cls, field: str) -> list[str]:
        """Return the environment variables that a field is read from, the main one first."""
        alias = cls.model_fields[field].validation_alias
        if isinstance(alias, AliasChoices):
            return [str(choice) for choice in alias.choices]
        return [alias] if isinstance(alias, str) else [f"{cls.model_config.get('env_prefix', '')}{field}".upper()]

    @field_validator("*")
    @classmethod
    def _check_keys(cls, value: Any) -> Any:
        return check_header_key(value)

    @model_validator(mode="before")
    @classmethod
    def _read_secret_files(cls, values: dict[str, Any]) -> dict[str, Any]:
        for name, field in cls.model_fields.items():
            variable = cls.variables(name)[0]
            if not _is_secret(field.annotation) or name in values or variable in values:
                continue
            if (secret := read_secret_file(variable)) is not None:
                values[variable if field.validation_alias else name] = secret
        return values


S = TypeVar("S", bound=ProviderSettings)


def read_provider_settings(provider: str, settings_class: type[S]) -> S:
    """Read a provider's settings from the environment.

    Raises ConfigurationError that names the missing and invalid variables, without their values: some are secrets.
    """
    try:
        return settings_class()
    except ValidationError as error:
        raise ConfigurationError(_problems(provider, settings_class, error)) from None
    except OSError as error:
        raise ConfigurationError(f"a setting of provider '{provider}' names an unreadable file: {error}") from None


def _problems(provider: str, settings_class: type[ProviderSettings], error: ValidationError) -> str:
    missing, invalid = [], []
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        location = str(item["loc"][0]) if item["loc"] else ""
        variables = _variables_at(settings_class, location)
        if item["type"] == "missing":
            missing.append(" or ".join(variables))
        else:
            invalid.append(f"{variables[0]}: {item['msg'].removeprefix('Value error, ')}".removeprefix(": "))
    needs = [f"needs {' and '.join(missing)}"] if missing else []
    return f"provider '{provider}' {'; '.join([*needs, *invalid])}"


def _variables_at(settings_class: type[ProviderSettings], location: str) -> list[str]:
    """Return the variables of the field that a validation error is about; pydantic names it by field or alias."""
    for field in settings_class.model_fields:
        variables = settings_class.variables(field)
        if location in (field, *variables):
            return variables
    return [location]


def _is_secret(annotation: object) -> bool:
    return annotation is SecretStr or SecretStr in get_args(annotation)
