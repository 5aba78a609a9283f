"""Fake of a language model server with the API of OpenAI's chat completions, such as Ollama or a cloud.

    async with FakeLanguageModel() as server:
        server.answers = ["not JSON"]
        server.faults = [RateLimited(after=2)]
        settings = Settings(**server.settings())
        ...
        assert server.chats[1].body["messages"][-1]["role"] == "user"

Without answers of the test, it writes sentences into the fields of the schema that the request contains.
"""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Self

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from callsheet.fakes.providers.faults import Fault, FaultContext, NoFault
from callsheet.fakes.providers.server import cut_connection, serve_app

_WORDS = "The lighthouse stands above the grey sea and turns its light towards the boats that come home late "
_TOKEN = 4
"""Characters of a token, about as in English."""


@dataclass(frozen=True, slots=True)
class Chat:
    """A received request."""

    body: dict[str, Any]
    headers: Mapping[str, str]


class FakeLanguageModel:
    """Fake server. Its attributes say what it supports; the defaults are those of Ollama."""

    model = "fake-writer"
    models = (model, "llama3.2")
    """Accepted models; the second is that of the examples."""
    key = "sk-fake-key-of-a-language-model"

    def __init__(self, *, port: int = 0) -> None:
        self.chats: list[Chat] = []
        """All requests for answers."""
        self.answers: list[str] = []
        """Texts of the next answers."""
        self.faults: list[Fault] = []
        """Faults of the next requests."""
        self.forms: frozenset[str] = frozenset({"json_schema", "json_object"})
        """Accepted types of `response_format`."""
        self.refused: frozenset[str] = frozenset()
        """Fields and keywords of JSON Schema that are refused."""
        self.streams = True
        """Whether it can stream; others ignore `stream`."""
        self.finish_reason = "stop"
        self.cut_after: int | None = None
        """Number of events after which the connection of the next stream is cut."""
        self.error_in_stream = False
        """Whether streams end with an error."""
        self.base_url = ""
        """Base URL of the API, after the start."""
        self._port = port
        self._stack = AsyncExitStack()

    def settings(self) -> dict[str, Any]:
        """Return the settings that connect to this fake."""
        return {"llm_url": self.base_url, "llm_model": self.model, "llm_api_key": self.key}

    def environment(self) -> dict[str, str]:
        """Return `settings` as environment variables."""
        return {f"CALLSHEET_{name.upper()}": value for name, value in self.settings().items()}

    async def __aenter__(self) -> Self:
        routes = [
            Route("/v1/chat/completions", self._chat, methods=["POST"]),
            Route("/v1/models", self._models, methods=["GET"]),
        ]
        self.base_url = await self._stack.enter_async_context(serve_app(Starlette(routes=routes), port=self._port))
        self.base_url += "/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _models(self, request: Request) -> Response:
        if not self._is_authorized(request):
            return error_response(401, "Incorrect API key provided.", code="invalid_api_key")
        return JSONResponse({"object": "list", "data": [{"id": each, "object": "model"} for each in self.models]})

    async def _chat(self, request: Request) -> Response:
        body = await request.json()
        self.chats.append(Chat(body, dict(request.headers)))
        fault = self.faults.pop(0) if self.faults else NoFault()
        return await fault(FaultContext(request, error_response), lambda: self._respond(request, body))

    async def _respond(self, request: Request, body: dict[str, Any]) -> Response:
        if not self._is_authorized(request):
            return error_response(401, f"Incorrect API key provided: {request.headers.get('Authorization', '')}")
        if body["model"] not in self.models:
            message = f"The model '{body['model']}' does not exist or you do not have access to it."
            return error_response(404, message, code="model_not_found")
        if (refusal := self._refusal(body)) is not None:
            return refusal
        text = self.answers.pop(0) if self.answers else canned_answer(body)
        if not (body.get("stream") and self.streams):
            return JSONResponse(self._document(body, text))
        return StreamingResponse(self._events(request, body, text), media_type="text/event-stream")

    def _is_authorized(self, request: Request) -> bool:
        return request.headers.get("Authorization") == f"Bearer {self.key}"

    def _refusal(self, body: Mapping[str, Any]) -> Response | None:
        for name in sorted(self.refused & set(body)):
            message = f"Unsupported parameter: '{name}' is not supported with this model."
            return error_response(400, message, param=name, code="unsupported_parameter")
        form = body.get("response_format")
        if form is not None and form["type"] not in self.forms:
            return error_response(400, "Invalid parameter: this form is not supported.", param="response_format")
        if any(f'"{keyword}"' in json.dumps(form) for keyword in self.refused):
            message = "Invalid schema for response_format 'answer': a keyword is not permitted."
            return error_response(400, message, param="response_format")
        return None

    def _document(self, body: Mapping[str, Any], text: str) -> dict[str, Any]:
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": self.model,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text},
                    "finish_reason": self.finish_reason,
                }
            ],
            "usage": _usage(body, text),
        }

    async def _events(self, request: Request, body: Mapping[str, Any], text: str) -> AsyncIterator[bytes]:
        parts = [text[start : start + _TOKEN] for start in range(0, len(text), _TOKEN)]
        yield _event(self._chunk({"role": "assistant", "content": ""}))
        cut_after, self.cut_after = self.cut_after, None
        for number, part in enumerate(parts):
            if number == cut_after:
                await cut_connection(request)
                return
            yield _event(self._chunk({"content": part}))
        if self.error_in_stream:
            yield _event({"error": {"message": "CUDA out of memory", "type": "server_error"}})
            return
        yield _event(self._chunk({}, self.finish_reason))
        if (body.get("stream_options") or {}).get("include_usage"):
            yield _event({**self._chunk({}), "choices": [], "usage": _usage(body, text)})
        yield b"data: [DONE]\n\n"

    def _chunk(self, delta: Mapping[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1_700_000_000,
            "model": self.model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
        }


def error_response(status: int, message: str, *, param: str | None = None, code: str | None = None) -> Response:
    """Return an error in OpenAI's format."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return JSONResponse({"error": {"message": message, "type": kind, "param": param, "code": code}}, status)


def canned_answer(body: Mapping[str, Any]) -> str:
    """Return JSON of the form that the request asks for; a sentence for a request without a schema."""
    schema = ((body.get("response_format") or {}).get("json_schema") or {}).get("schema")
    return _WORDS.strip() if schema is None else json.dumps(_value(schema))


def _value(schema: Mapping[str, Any]) -> Any:
    kind = schema.get("type")
    if kind == "object":
        return {name: _value(each) for name, each in schema["properties"].items()}
    if kind == "array":
        return [_value(schema["items"])] * max(schema.get("minItems", 0), 1)
    if kind == "string":
        return _WORDS[: schema.get("maxLength", len(_WORDS))].strip()
    return max(schema.get("minimum", 1), 1)


def _usage(body: Mapping[str, Any], text: str) -> dict[str, int]:
    sent, received = len(json.dumps(body["messages"])) // _TOKEN, len(text) // _TOKEN
    return {"prompt_tokens": sent, "completion_tokens": received, "total_tokens": sent + received}


def _event(data: Mapping[str, Any]) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()
