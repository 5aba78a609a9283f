"""Status push: the API of the product receives the status of each job of an intake."""

from datetime import timedelta
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, field_validator

from callsheet.domain.durations import Duration


class StatusPushSettings(BaseModel):
    """Status push: the API of the product receives the status of each job of an intake."""

    status_push_url: str | None = Field(
        None,
        description="Base URL of the API of your product. Intakes send `PATCH <URL>/jobs/<id>` with the status of each "
        "job. It may be on a private network. Unset: no status is sent",
    )
    api_base_url_is: Literal["callsheet", "product"] = Field(
        "callsheet",
        description="What the variable API_BASE_URL names: the URL of this server (`CALLSHEET_PUBLIC_URL`), or the API "
        "of your product (`CALLSHEET_STATUS_PUSH_URL`)",
    )
    status_push_token: SecretStr | None = Field(
        None, description="Token that the API of the product receives as `Authorization: Bearer …`"
    )
    status_push_timeout: Duration = Field(
        timedelta(seconds=15), gt=timedelta(0), description="Timeout of one request to the API of the product"
    )
    status_push_retry_for: Duration = Field(
        timedelta(minutes=10), description="Time from its first attempt after which a failing push is given up"
    )

    @field_validator("status_push_url")
    @classmethod
    def _check_status_push_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("must be a URL that starts with https:// or http://")
        if parts.query or parts.fragment:
            raise ValueError("must not have a query (?…) or a fragment (#…): `/jobs/<id>` is appended")
        return value.rstrip("/")
