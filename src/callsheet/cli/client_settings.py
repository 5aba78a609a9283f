"""Settings of the commands that use a running server."""

from typing import Any

from pydantic import SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from callsheet.settings.header_keys import check_header_key
from callsheet.settings.secret_files import read_secret_file

DEFAULT_URL = "http://127.0.0.1:8500"
_KEY = "CALLSHEET_API_KEY"


class ClientSettings(BaseSettings):
    """URL and API key, from the same places as the settings of the server. Raises OSError for an unreadable file."""

    model_config = SettingsConfigDict(
        env_prefix="CALLSHEET_", env_file=".env", env_ignore_empty=True, extra="ignore", hide_input_in_errors=True
    )

    url: str = DEFAULT_URL
    api_key: SecretStr | None = None

    @field_validator("api_key")
    @classmethod
    def _check_key(cls, value: Any) -> Any:
        return check_header_key(value)

    @model_validator(mode="before")
    @classmethod
    def _read_key_file(cls, values: dict[str, Any]) -> dict[str, Any]:
        if values.get("api_key") is None and (key := read_secret_file(_KEY)):
            return {**values, "api_key": key}
        return values
