"""The body of a request, and simpler bodies for servers that refuse a part of it.

Servers with this API differ in what they accept. A refused body (400, 422…) is simplified step by step until the
server accepts it, or nothing optional is left. Nothing is generated, or billed, for a refused body.
"""

from collections.abc import Mapping
from typing import Any

from callsheet.language_models.chat import ChatRequest
from callsheet.providers.http.json_fields import text
from callsheet.providers.http.response import ProviderResponse

REFUSALS = frozenset({400, 415, 422, 501})
"""Statuses of a body that the server does not accept."""
_OPTIONAL = ("stream", "stream_options", "seed", "temperature")
_LENGTHS = frozenset({"minLength", "maxLength"})
"""Keywords of JSON Schema that some servers do not accept in a strict schema."""


def request_body(request: ChatRequest) -> dict[str, Any]:
    """Return the complete body: with the schema, and with the answer as a stream."""
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [{"role": message.role, "content": message.text} for message in request.messages],
        "max_tokens": request.max_tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": dict(request.schema)},
        },
    }
    options = {"temperature": request.temperature, "seed": request.seed}
    return body | {name: value for name, value in options.items() if value is not None}


def simpler_body(body: Mapping[str, Any], refusal: ProviderResponse) -> dict[str, Any] | None:
    """Return a body without what the server refused; None if nothing optional is left.

    The refusal may name the field (`error.param`, or its message). Otherwise the form of the answer is relaxed: a
    schema without lengths, then any JSON object, then no form at all, and at last no other option either.
    """
    named = _named_field(body, refusal)
    if named == "max_tokens":  # newer models of OpenAI
        return {**_without(body, "max_tokens"), "max_completion_tokens": body["max_tokens"]}
    if named is not None:
        return _without(body, named, *(["stream_options"] if named == "stream" else []))
    if "response_format" in body:
        form = _simpler_form(body["response_format"])
        return _without(body, "response_format") if form is None else {**body, "response_format": form}
    plain = _without(body, *_OPTIONAL)
    return plain if len(plain) < len(body) else None


def _named_field(body: Mapping[str, Any], refusal: ProviderResponse) -> str | None:
    parameter = text(refusal.at("error", "param")) or ""
    message = text(refusal.at("error", "message")) or text(refusal.at("error")) or text(refusal.at("message")) or ""
    for name in ("max_tokens", *_OPTIONAL):
        if name in body and (parameter.partition(".")[0] == name or (not parameter and f"'{name}'" in message)):
            return name
    return None


def _simpler_form(form: Mapping[str, Any]) -> dict[str, Any] | None:
    if form["type"] != "json_schema":
        return None
    schema = form["json_schema"]["schema"]
    without = _without_lengths(schema)
    if without == schema:
        return {"type": "json_object"}
    return {**form, "json_schema": {**form["json_schema"], "schema": without}}


def _without_lengths(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {name: _without_lengths(value) for name, value in schema.items() if name not in _LENGTHS}
    return [_without_lengths(value) for value in schema] if isinstance(schema, list) else schema


def _without(body: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in names}
