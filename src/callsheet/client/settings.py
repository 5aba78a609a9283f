"""URL and API key of a client, from the same places as the settings of the server."""

from typing import Any

from pydantic import SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from callsheet.domain.errors import ConfigurationError
from callsheet.settings.header_keys import check_header_key
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


def find_server(url: str | None, api_key: str | None) -> tuple[str, str | None]:
    """Return URL and API key of the server: what is None comes from the environment or `.env`.

    Raises ConfigurationError for settings that cannot be read, and for a key that cannot be sent.
    """
    given: dict[str, Any] = {"url": url, "api_key": api_key}
    try:
        settings = ClientSettings(**{name: value for name, value in given.items() if value})
    except ValidationError as error:
        reasons = "; ".join(problem["msg"].removeprefix("Value error, ") for problem in error.errors())
        raise ConfigurationError(f"The API key (--api-key, CALLSHEET_API_KEY) is invalid: {reasons}.") from None
    except OSError as error:
        raise ConfigurationError(f"The file in CALLSHEET_API_KEY_FILE cannot be read: {error}") from None
    key = settings.api_key.get_secret_value() if settings.api_key else None
    return settings.url, key
