"""Client of a server with the API of OpenAI's chat completions and embeddings.

async with open_server(settings) as server:
    answer = await server.answer(request, on_text=print)
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx2

from callsheet.domain.errors import (
    BadParams,
    CallsheetError,
    ConfigurationError,
    Problem,
    ProviderFailed,
    ProviderRateLimited,
    ProviderUnreachable,
    SubmissionRejected,
)
from callsheet.files.fetch import redact_url
from callsheet.http_clients import async_client, describe_error
from callsheet.language_models.answer_stream import OnText, read_answer
from callsheet.language_models.chat import ChatAnswer, ChatRequest
from callsheet.language_models.embedding_answer import read_vectors
from callsheet.language_models.request_body import REFUSALS, request_body, simpler_body
from callsheet.providers.http.json_fields import as_object, text
from callsheet.providers.http.redaction import remove_keys, sanitize
from callsheet.providers.http.response import ProviderResponse, requested_delay
from callsheet.settings import Settings

_MAX_ERROR_BYTES = 64 * 1024
_MAX_SIMPLER = 10
"""Bodies that are tried at most. Each has less in it than the one before, so this is never reached."""
_NOT_NOW = frozenset({408, 409, 423, 425})
_SHOWN_MODELS = 20


@asynccontextmanager
async def open_server(settings: Settings) -> AsyncIterator["LanguageModelServer"]:
    """Connect to the server of the settings while the block runs."""
    timeout = httpx2.Timeout(connect=10, write=30, pool=10, read=settings.llm_timeout.total_seconds())
    async with async_client(timeout=timeout) as client:
        yield LanguageModelServer(client, settings)


class LanguageModelServer:
    """The server at CALLSHEET_LLM_URL. The API key is sent there only: redirects are not followed."""

    def __init__(self, client: httpx2.AsyncClient, settings: Settings) -> None:
        self._client = client
        self._url = settings.llm_url
        self._name = f"the language model server at {redact_url(settings.llm_url)}"
        key = settings.llm_api_key
        self._auth = {} if key is None else {"Authorization": f"Bearer {key.get_secret_value()}"}

    async def answer(self, request: ChatRequest, on_text: OnText) -> ChatAnswer:
        """Return the answer of a model. A server that refuses a part of the request gets a simpler one.

        Raises ProviderUnreachable and ProviderRateLimited for temporary failures; ConfigurationError when the server
        rejects the API key, or redirects; BadParams for a model that it does not have; SubmissionRejected for a request
        that it does not accept in any form; ProviderFailed when it refuses to answer.
        """
        body: dict[str, Any] | None = request_body(request)
        headers = self._auth | ({"Idempotency-Key": key} if (key := request.idempotency_key) else {})
        refusal: ProviderResponse | None = None
        for number in range(_MAX_SIMPLER):
            if body is None:
                break
            # Another body is another request: a server may refuse a known key with another body.
            if request.idempotency_key and number:
                headers["Idempotency-Key"] = f"{request.idempotency_key}-{number}"
            answer = await self._send(body, headers, on_text)
            if isinstance(answer, ChatAnswer):
                return answer
            if answer.status not in REFUSALS:
                raise await self._error_for(answer, request.model)
            refusal, body = answer, simpler_body(body, answer)
        raise SubmissionRejected(f"{self._name} does not accept the request: {sanitize(refusal)}" if refusal else None)

    async def embed(self, model: str, texts: Sequence[str]) -> list[list[float]]:
        """Return the vector of each text.

        Raises as `answer` does, and ConfigurationError for a model that the server does not have.
        """
        with self._translate_errors():
            url, body = f"{self._url}/embeddings", {"model": model, "input": list(texts)}
            async with self._client.stream("POST", url, json=body, headers=self._auth) as response:
                if response.status_code == httpx2.codes.OK:
                    return await read_vectors(response, self._name, len(texts))
                content = remove_keys(self._auth, await _beginning(response))
                refusal = ProviderResponse(response.status_code, response.headers, content)
        if refusal.status == httpx2.codes.NOT_FOUND:
            message = await self._unknown_model(model, sanitize(refusal))
            raise ConfigurationError(f"{message}. CALLSHEET_EMBEDDING_MODEL names it")
        raise await self._error_for(refusal, model)

    async def models(self) -> list[str]:
        """Return the ids of the models that the server lists; an empty list if it does not list them."""
        try:
            response = await self._client.get(f"{self._url}/models", headers=self._auth)
        except httpx2.HTTPError:
            return []
        if not response.is_success or len(response.content) > 2**20:
            return []
        found = ProviderResponse(response.status_code, response.headers, response.content).at("data")
        ids = [text(as_object(each).get("id")) for each in found] if isinstance(found, list) else []
        return sorted(filter(None, ids))

    async def _send(
        self, body: Mapping[str, Any], headers: Mapping[str, str], on_text: OnText
    ) -> ChatAnswer | ProviderResponse:
        """Return the answer, or the response of a failed request."""
        with self._translate_errors():
            url = f"{self._url}/chat/completions"
            async with self._client.stream("POST", url, json=body, headers=headers) as response:
                if response.status_code == httpx2.codes.OK:
                    return await read_answer(response, self._name, on_text)
                failed = remove_keys(self._auth, await _beginning(response))
                return ProviderResponse(response.status_code, response.headers, failed)

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except httpx2.TimeoutException as error:
            step = "connect" if isinstance(error, httpx2.ConnectTimeout) else "answer"
            raise ProviderUnreachable(f"{self._name} did not {step} in time (CALLSHEET_LLM_TIMEOUT)") from error
        except httpx2.ConnectError as error:
            raise ProviderUnreachable(
                f"{self._name} cannot be reached ({describe_error(error)}). Is it running? CALLSHEET_LLM_URL names it"
            ) from error
        except httpx2.TransportError as error:
            raise ProviderUnreachable(
                f"{self._name} closed the connection before the end of the answer ({describe_error(error)})"
            ) from error

    async def _error_for(self, response: ProviderResponse, model: str) -> CallsheetError:
        status, reason = response.status, sanitize(response).rstrip(".")
        if status in {401, 403}:
            key = "rejects the API key" if self._auth else "requires an API key"
            return ConfigurationError(f"{self._name} {key}: {reason}. Set CALLSHEET_LLM_API_KEY")
        if status == httpx2.codes.NOT_FOUND:
            return BadParams([Problem("model", "unknown_model", await self._unknown_model(model, reason))])
        if response.at("error", "code") == "insufficient_quota" or status == httpx2.codes.PAYMENT_REQUIRED:
            return ProviderFailed(f"{self._name} reports no credit: {reason}", code="budget_exhausted")
        if status == httpx2.codes.TOO_MANY_REQUESTS:
            delay = requested_delay(response.headers)
            return ProviderRateLimited(f"{self._name} has reached its rate limit: {reason}", retry_after=delay)
        if status >= 500 or status in _NOT_NOW:
            return ProviderUnreachable(f"{self._name} failed: {reason}", retry_after=requested_delay(response.headers))
        if 300 <= status < 400:
            return ConfigurationError(
                f"{self._name} redirects ({status}). Set CALLSHEET_LLM_URL to where it redirects to"
            )
        return SubmissionRejected(f"{self._name} does not accept the request: {reason}")

    async def _unknown_model(self, model: str, reason: str) -> str:
        known = await self.models()
        message = f"{self._name} has no model '{model}', or CALLSHEET_LLM_URL is not the base URL of its API: {reason}"
        if not known:
            return message
        more = f" and {len(known) - _SHOWN_MODELS} more" if len(known) > _SHOWN_MODELS else ""
        return f"{message}. Its models: {', '.join(known[:_SHOWN_MODELS])}{more}"


async def _beginning(response: httpx2.Response) -> bytes:
    """Return the first 64 KiB of a body."""
    body = bytearray()
    async for chunk in response.aiter_bytes(16 * 1024):
        body += chunk
        if len(body) >= _MAX_ERROR_BYTES:
            break
    return bytes(body[:_MAX_ERROR_BYTES])
