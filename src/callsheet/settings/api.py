"""The API server: address, key and limits."""

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from callsheet.domain.durations import Duration

_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]{1,260}")


class ApiSettings(BaseModel):
    """The API server."""

    host: str = Field("127.0.0.1", description="IP address or host name that the server listens on")
    port: int = Field(8500, ge=0, le=65535, description="Port that the server listens on; 0: a free port")
    api_key: SecretStr | None = Field(
        None,
        min_length=16,
        description="API key that may do everything, at least 16 characters; clients send it as `Authorization: Bearer "
        "…`. This key, or one of `callsheet keys`, is required to listen on another address than loopback; without "
        "any, there is no authentication",
    )
    console_user: str | None = Field(
        None,
        min_length=1,
        max_length=100,
        description="User who may sign in to the console, to look and to operate, but not to manage access; more "
        "users: `callsheet users`",
    )
    console_password: SecretStr | None = Field(None, min_length=1, description="Password of that user")
    audit_history: Duration = Field(
        timedelta(days=365), gt=timedelta(0), description="Time that entries of the audit log are kept"
    )
    public_url: str | None = Field(
        None, description="Base URL of this server for clients and providers; unset: derived from host and port"
    )
    cors_origins: Annotated[list[str], NoDecode] = Field(
        default_factory=list,
        description="Origins of web pages that may use the API with a key or a read token, such as "
        "`https://app.example.com`, separated by commas",
    )
    max_body_bytes: int = Field(16 * 2**20, ge=1024, description="Maximum size of a request body, in bytes")
    max_requests: int = Field(
        500, ge=1, description="Requests in progress of a server process; streams and health checks are not counted"
    )
    max_body_bytes_in_progress: int = Field(
        128 * 2**20,
        ge=1024,
        description="Size of the bodies of all requests in progress together, in bytes; uploads are not counted",
    )
    max_connections: int = Field(4000, ge=1, description="Open connections of a server process, streams included")
    max_connections_per_address: int = Field(
        1000,
        ge=1,
        description="Open connections of one address. Those of trusted proxies (`FORWARDED_ALLOW_IPS`, default: this "
        "machine) are not counted by address",
    )
    head_timeout: Duration = Field(
        timedelta(seconds=10), gt=timedelta(0), description="Time in which the head of a request must arrive"
    )
    max_running_executions: int | None = Field(
        None,
        ge=1,
        description="Executions of API keys in progress at a time, over all keys; a free place goes to the key with "
        "the fewest. Unset: only the limits of the keys count",
    )
    max_jobs_per_plan: int = Field(10_000, ge=1, description="Maximum number of jobs in a plan")

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: Any) -> Any:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("cors_origins")
    @classmethod
    def _check_origins(cls, value: list[str]) -> list[str]:
        for origin in value:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(f"'{origin}' is not an origin: write https://app.example.com, without path and slash")
        return value
