"""Requests to a chat model, and its answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What is sent to a model."""

    model: str
    messages: tuple[Message, ...]
    schema: Mapping[str, Any]
    """JSON Schema of the answer."""
    max_tokens: int
    """Maximum length of the answer, in tokens."""
    temperature: float | None = None
    """Randomness from 0 to 2; None: as the server sets it."""
    seed: int | None = None
    idempotency_key: str | None = None
    """Servers that know the header `Idempotency-Key` answer a repeated request once."""


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """What a model answered."""

    text: str
    model: str
    """The server's name of the model."""
    cut_off: bool
    """Whether the answer reached the maximum number of tokens."""
    prompt_tokens: int | None
    """Tokens of the request as the server counts them; None if it does not say."""
    completion_tokens: int | None
    """Tokens of the answer."""
