"""All settings of an installation.

A setting is read from the variable `CALLSHEET_<NAME>`, from one of its aliases (`settings.aliases`), or from a file
`.env` in the working directory. A secret can also be read from a file, whose path is in `CALLSHEET_<NAME>_FILE`.
"""

from collections.abc import Sequence
from typing import Any, get_args

from pydantic import AliasGenerator, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from callsheet.settings.ads import AdsSettings
from callsheet.settings.agents import AgentSettings
from callsheet.settings.aliases import aliases_of, product_api_variables, with_units
from callsheet.settings.api import ApiSettings
from callsheet.settings.comfyui import ComfyUISettings
from callsheet.settings.embeddings import EmbeddingSettings
from callsheet.settings.enhancement import EnhancementSettings
from callsheet.settings.ffmpeg import FFmpegSettings
from callsheet.settings.folders import expand_home
from callsheet.settings.generation import GenerationSettings
from callsheet.settings.header_keys import check_header_key
from callsheet.settings.installation import InstallationSettings
from callsheet.settings.intakes import IntakeSettings
from callsheet.settings.lanes import parse_lanes
from callsheet.settings.language_models import LanguageModelSettings
from callsheet.settings.logs import LogSettings
from callsheet.settings.monitoring import MonitoringSettings
from callsheet.settings.oidc import OidcSettings
from callsheet.settings.outside_steps import OutsideStepSettings
from callsheet.settings.resources import ResourceSettings
from callsheet.settings.retention import RetentionSettings
from callsheet.settings.schedules import ScheduleSettings
from callsheet.settings.secret_files import read_secret_file
from callsheet.settings.sources import SourceSettings
from callsheet.settings.speech import SpeechSettings
from callsheet.settings.status_push import StatusPushSettings
from callsheet.settings.storage import StorageSettings
from callsheet.settings.telemetry import TelemetrySettings
from callsheet.settings.training import TrainingSettings
from callsheet.settings.uploads import UploadSettings
from callsheet.settings.webhooks import WebhookSettings
from callsheet.settings.worker import WorkerSettings

__all__ = ["Settings", "parse_lanes"]


class Settings(
    InstallationSettings,
    StorageSettings,
    SourceSettings,
    UploadSettings,
    ApiSettings,
    OidcSettings,
    WorkerSettings,
    FFmpegSettings,
    SpeechSettings,
    LanguageModelSettings,
    EmbeddingSettings,
    EnhancementSettings,
    GenerationSettings,
    OutsideStepSettings,
    ComfyUISettings,
    TrainingSettings,
    ScheduleSettings,
    RetentionSettings,
    WebhookSettings,
    IntakeSettings,
    StatusPushSettings,
    AgentSettings,
    AdsSettings,
    MonitoringSettings,
    ResourceSettings,
    TelemetrySettings,
    LogSettings,
    BaseSettings,
):
    """Settings of this installation, from environment variables and `.env`.

    Durations are numbers of seconds or texts such as `15m`. Arguments take precedence over variables. Raises
    pydantic.ValidationError with every invalid setting, and OSError for a secret file that cannot be read.
    """

    model_config = SettingsConfigDict(
        alias_generator=AliasGenerator(validation_alias=aliases_of),
        env_prefix="CALLSHEET_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        populate_by_name=True,
        validate_default=True,
        hide_input_in_errors=True,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - part of the signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Append the units of aliases to their values, and read API_BASE_URL as what it names."""
        sources = [each for each in (env_settings, dotenv_settings) if isinstance(each, EnvSettingsSource)]
        is_product = _names_product(init_settings, sources)
        for source in sources:
            variables = with_units(source.env_vars)
            source.env_vars = product_api_variables(variables) if is_product else variables
        return init_settings, env_settings, dotenv_settings, file_secret_settings

    @field_validator("*")
    @classmethod
    def _expand_home(cls, value: Any) -> Any:
        return expand_home(value)

    @field_validator("api_key", "llm_api_key", "mcp_key", "polled_api_key", "s3_access_key", "status_push_token")
    @classmethod
    def _check_keys(cls, value: Any) -> Any:
        return check_header_key(value)

    @model_validator(mode="before")
    @classmethod
    def _read_secret_files(cls, values: dict[str, Any]) -> dict[str, Any]:
        for name in (name for name, field in cls.model_fields.items() if _is_secret(field.annotation)):
            variable = f"CALLSHEET_{name.upper()}"
            if name not in values and variable not in values and (secret := read_secret_file(variable)) is not None:
                values[variable] = secret
        return values


def _names_product(init_settings: PydanticBaseSettingsSource, sources: Sequence[EnvSettingsSource]) -> bool:
    """Return whether API_BASE_URL names the API of the product. Earlier sources take precedence."""
    given = [init_settings().get("api_base_url_is")]
    given += [source.env_vars.get("callsheet_api_base_url_is") for source in sources]
    return next(filter(None, given), None) == "product"


def _is_secret(annotation: object) -> bool:
    return annotation is SecretStr or SecretStr in get_args(annotation)
