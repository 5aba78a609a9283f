"""The API server: address, key and limits."""

from pydantic import BaseModel, Field, SecretStr


class ApiSettings(BaseModel):
    """The API server."""

    host: str = Field("127.0.0.1", description="IP address or host name that the server listens on")
    port: int = Field(8500, ge=0, le=65535, description="Port that the server listens on; 0: a free port")
    api_key: SecretStr | None = Field(
        None,
        min_length=16,
        description="API key, at least 16 characters; clients send it as `Authorization: Bearer …`. Required to "
        "listen on another address than loopback; unset: no authentication",
    )
    public_url: str | None = Field(
        None, description="Base URL of this server for clients and providers; unset: derived from host and port"
    )
    max_body_bytes: int = Field(16 * 2**20, ge=1024, description="Maximum size of a request body, in bytes")
    max_jobs_per_plan: int = Field(10_000, ge=1, description="Maximum number of jobs in a plan")
