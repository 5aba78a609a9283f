"""The server of language models that `content` jobs use."""

from datetime import timedelta
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, field_validator

from callsheet.domain.durations import Duration


class LanguageModelSettings(BaseModel):
    """A server with the API of OpenAI's chat completions."""

    llm_url: str = Field(
        "http://127.0.0.1:11434/v1",
        description="Base URL of a server with an API like OpenAI's `/v1/chat/completions`; the default is that of "
        "Ollama on this machine",
    )
    llm_model: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="Language model of `content` jobs that name none, such as `llama3.2`",
    )
    llm_api_key: SecretStr | None = Field(
        None, description="API key of the language model server; it is sent as `Authorization: Bearer …`"
    )
    llm_timeout: Duration = Field(
        timedelta(minutes=5),
        gt=timedelta(0),
        description="Longest silence of the language model server during an answer. A server can be silent while it "
        "loads a model",
    )

    @field_validator("llm_url")
    @classmethod
    def _check_llm_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("must be a URL that starts with http:// or https://, such as http://127.0.0.1:11434/v1")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError(
                "must not have a user, a query (?…) or a fragment (#…); a key goes to CALLSHEET_LLM_API_KEY"
            )
        return value.rstrip("/")
