"""URL and API key of a client, from the same places as the settings of the server."""

from typing import Any

from pydantic import SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from callsheet.domain.errors import ConfigurationError
from callsheet.settings.secret_files import read_secret_file

DEFAULT_URL = "http://127.0.0.1:8500"
_KEY = "CALLSHEET_API_KEY"


class ClientSettings(BaseSettings):
    """URL and API key. Raises OSError for an unreadable file."""

    model_config = SettingsConfigDict(
        env_prefix="CALLSHEET_", env_file=".env", env_ignore_empty=True, extra="ignore", hide_input_in_errors=True
    )

    url: str = DEFAULT_URL
    api_key: SecretStr | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_key_file(cls, values: dict[str, Any]) -> dict[str, Any]:
        if values.get("api_key") is None and (key := read_secret_file(_KEY)):
            return {**values, "api_key": key}
        return values


def find_server(url: str | None, api_key: str | None) -> tuple[str, str | None]:
    """Return URL and API key of the server: what is None comes from the environment or `.env`.

    Raises ConfigurationError for settings that cannot be read.
    """
    try:
        settings = ClientSettings()
    except OSError as error:
        raise ConfigurationError(f"The file in CALLSHEET_API_KEY_FILE cannot be read: {error}") from None
    key = settings.api_key.get_secret_value() if settings.api_key else None
    return url or settings.url, api_key or key
