"""Accounts at the providers: keys, addresses and webhook secrets."""

from typing import Literal

from pydantic import BaseModel, Field, SecretStr

from callsheet.domain.durations import Duration
from callsheet.settings.aliases import aliases as _aliases


class ProviderSettings(BaseModel):
    """Keys and addresses of the providers."""

    replicate_api_token: SecretStr | None = Field(
        None, validation_alias=_aliases("REPLICATE_API_TOKEN", "REPLICATE_API_TOKEN"), description="Opens Replicate"
    )
    replicate_url: str = Field(
        "https://api.replicate.com", validation_alias=_aliases("REPLICATE_URL"), description="Where Replicate answers"
    )
    replicate_webhook_secret: SecretStr | None = Field(
        None,
        validation_alias=_aliases("REPLICATE_WEBHOOK_SECRET"),
        description="Signs Replicate's webhooks; unset: asked of Replicate when first needed",
    )
    fal_key: SecretStr | None = Field(None, validation_alias=_aliases("FAL_KEY", "FAL_KEY"), description="Opens fal")
    fal_url: str = Field("https://queue.fal.run", validation_alias=_aliases("FAL_URL"), description="fal's queue")
    fal_keys_url: str = Field(
        "https://rest.fal.ai/.well-known/jwks.json",
        validation_alias=_aliases("FAL_KEYS_URL"),
        description="The public keys that fal's webhooks are signed by",
    )
    fal_user_id: str | None = Field(
        None, validation_alias=_aliases("FAL_USER_ID"), description="Refuse webhooks of other accounts of fal"
    )
    google_api_key: SecretStr | None = Field(
        None,
        validation_alias=_aliases("GOOGLE_API_KEY", "GOOGLE_GENERATIVE_AI_API_KEY", "GEMINI_API_KEY"),
        description="Opens Google's Gemini API",
    )
    google_url: str = Field(
        "https://generativelanguage.googleapis.com",
        validation_alias=_aliases("GOOGLE_URL"),
        description="Where the Gemini API answers",
    )
    google_keys_url: str = Field(
        "https://generativelanguage.googleapis.com/.well-known/jwks.json",
        validation_alias=_aliases("GOOGLE_KEYS_URL"),
        description="The public keys that the Gemini API's webhooks are signed by",
    )
    vertex_project: str | None = Field(
        None, validation_alias=_aliases("VERTEX_PROJECT", "GOOGLE_CLOUD_PROJECT"), description="Project of Vertex AI"
    )
    vertex_location: str = Field(
        "us-central1", validation_alias=_aliases("VERTEX_LOCATION"), description="Region of Vertex AI, or `global`"
    )
    vertex_url: str | None = Field(
        None, validation_alias=_aliases("VERTEX_URL"), description="Where Vertex AI answers; unset: by the region"
    )
    vertex_token: SecretStr | None = Field(
        None,
        validation_alias=_aliases("VERTEX_TOKEN"),
        description="An access token for Vertex AI, which lives for about an hour; unset: Google's own credentials of "
        "this machine, by `callsheet[vertex]`",
    )
    vertex_storage: str | None = Field(
        None,
        pattern=r"^gs://[a-z0-9._-]+(/.*)?$",
        validation_alias=_aliases("VERTEX_STORAGE"),
        description="Where Vertex AI puts its videos: `gs://bucket/folder`; unset: they come inside its answers",
    )
    vertex_storage_url: str = Field(
        "https://storage.googleapis.com",
        validation_alias=_aliases("VERTEX_STORAGE_URL"),
        description="Where Google's Cloud Storage answers",
    )
    runpod_api_key: SecretStr | None = Field(
        None, validation_alias=_aliases("RUNPOD_API_KEY", "RUNPOD_API_KEY"), description="Opens RunPod"
    )
    runpod_url: str = Field(
        "https://api.runpod.ai/v2", validation_alias=_aliases("RUNPOD_URL"), description="Where RunPod answers"
    )
    runpod_execution_timeout: Duration | None = Field(
        None,
        validation_alias=_aliases("RUNPOD_EXECUTION_TIMEOUT"),
        description="How long RunPod lets a task run, 5 seconds to 7 days; unset: as the endpoint is set up",
    )
    openai_videos_url: str | None = Field(
        None,
        validation_alias=_aliases("OPENAI_VIDEOS_URL"),
        description="A server of the `/v1/videos` shape, such as vLLM-Omni or a gateway, without the `/v1`",
    )
    openai_videos_api_key: SecretStr | None = Field(
        None, validation_alias=_aliases("OPENAI_VIDEOS_API_KEY"), description="Opens that server, where it has a key"
    )
    openai_videos_format: Literal["multipart", "json"] = Field(
        "multipart",
        validation_alias=_aliases("OPENAI_VIDEOS_FORMAT"),
        description="How that server wants orders: `multipart` or `json`",
    )
    luma_api_key: SecretStr | None = Field(
        None, validation_alias=_aliases("LUMA_API_KEY", "LUMA_AGENTS_API_KEY"), description="Opens Luma Agents"
    )
    luma_url: str = Field(
        "https://agents.lumalabs.ai", validation_alias=_aliases("LUMA_URL"), description="Where Luma Agents answers"
    )
    runway_api_key: SecretStr | None = Field(
        None, validation_alias=_aliases("RUNWAY_API_KEY", "RUNWAYML_API_SECRET"), description="Opens Runway"
    )
    runway_url: str = Field(
        "https://api.dev.runwayml.com", validation_alias=_aliases("RUNWAY_URL"), description="Where Runway answers"
    )
    kling_access_key: SecretStr | None = Field(
        None,
        validation_alias=_aliases("KLING_ACCESS_KEY", "KLING_ACCESS_KEY"),
        description="Names our account at Kling",
    )
    kling_secret_key: SecretStr | None = Field(
        None, validation_alias=_aliases("KLING_SECRET_KEY", "KLING_SECRET_KEY"), description="Opens Kling"
    )
    kling_url: str = Field(
        "https://api-singapore.klingai.com", validation_alias=_aliases("KLING_URL"), description="Where Kling answers"
    )
