"""Reading of an answer: as server-sent events, or as one JSON document from servers that do not stream."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2
import orjson

from callsheet.domain.errors import ProviderFailed, ProviderUnreachable
from callsheet.language_models.chat import ChatAnswer
from callsheet.providers.http.json_fields import as_object, text
from callsheet.providers.http.redaction import MAX_MESSAGE, redact_message

MAX_BYTES = 8 * 2**20
"""Maximum size of a response. A streamed answer has a few hundred bytes for each token."""
_CHUNK = 64 * 1024

OnText = Callable[[int], None]
"""Called with the number of characters received so far."""


async def read_answer(response: httpx2.Response, server: str, on_text: OnText) -> ChatAnswer:
    """Return the answer in a response with status 200.

    Raises ProviderUnreachable for a response that is cut off, too large, no JSON, or an error inside of the stream, and
    ProviderFailed with the code `content_refused` when the model, or a filter of the server, refuses to answer.
    """
    media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    received = _Received(server)
    if media_type == "text/event-stream":
        async for line in _lines(response, server):
            if line.startswith(b"data:"):
                received.add_event(line.removeprefix(b"data:").strip())
                on_text(received.length)
    elif media_type == "application/json":
        received.add_document(_parse(b"".join([line async for line in _lines(response, server)]), server))
        on_text(received.length)
    else:
        raise ProviderUnreachable(
            f"{server} answered with '{media_type[:100] or 'no content type'}' instead of JSON. Is CALLSHEET_LLM_URL "
            "the base URL of its API, such as http://127.0.0.1:11434/v1?"
        )
    return received.answer()


@dataclass(slots=True)
class _Received:
    server: str
    parts: list[str] = field(default_factory=list)
    length: int = 0
    model: str = ""
    finish_reason: str | None = None
    ended: bool = False
    refusal: str = ""
    usage: Mapping[str, Any] = field(default_factory=dict)

    def add_event(self, data: bytes) -> None:
        if data == b"[DONE]":
            self.ended = True
        elif data:
            self._add(_parse(data, self.server), "delta")

    def add_document(self, document: Mapping[str, Any]) -> None:
        self._add(document, "message")
        self.ended = True

    def answer(self) -> ChatAnswer:
        if self.refusal or self.finish_reason == "content_filter":
            reason = redact_message(self.refusal)[:MAX_MESSAGE] or "its content filter stopped the answer"
            raise ProviderFailed(f"{self.server} refused to answer: {reason}", code="content_refused")
        if not self.ended and self.finish_reason is None:
            raise ProviderUnreachable(f"{self.server} closed the connection before the end of the answer")
        return ChatAnswer(
            text="".join(self.parts),
            model=self.model,
            cut_off=self.finish_reason == "length",
            prompt_tokens=_count(self.usage.get("prompt_tokens")),
            completion_tokens=_count(self.usage.get("completion_tokens")),
        )

    def _add(self, document: Mapping[str, Any], member: str) -> None:
        if error := document.get("error"):
            message = text(as_object(error).get("message")) or text(error) or "an error without a message"
            raise ProviderUnreachable(f"{self.server} failed: {redact_message(message)[:MAX_MESSAGE]}")
        self.model = text(document.get("model")) or self.model
        self.usage = as_object(document.get("usage")) or self.usage
        choices = document.get("choices")
        choice = as_object(choices[0]) if isinstance(choices, list) and choices else {}
        self.finish_reason = text(choice.get("finish_reason")) or self.finish_reason
        content = as_object(choice.get(member))
        if isinstance(part := content.get("content"), str):
            self.parts.append(part)
            self.length += len(part)
        if isinstance(refusal := content.get("refusal"), str):
            self.refusal += refusal


async def _lines(response: httpx2.Response, server: str) -> AsyncIterator[bytes]:
    rest, size = b"", 0
    async for chunk in response.aiter_bytes(_CHUNK):
        size += len(chunk)
        if size > MAX_BYTES:
            raise ProviderUnreachable(f"the answer of {server} is larger than {MAX_BYTES:,} bytes")
        *complete, rest = (rest + chunk).split(b"\n")
        for line in complete:
            yield line
    if rest:
        yield rest


def _parse(data: bytes, server: str) -> Mapping[str, Any]:
    try:
        document = orjson.loads(data)
    except ValueError:
        raise ProviderUnreachable(f"the answer of {server} is no valid JSON; it may have been cut off") from None
    return as_object(document)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else None
