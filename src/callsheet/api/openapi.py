"""The OpenAPI document of the API."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import orjson
from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from callsheet.api import webhook_schema
from callsheet.api.problems import ProblemDocument, problem_responses
from callsheet.api.route_access import access_of
from callsheet.api.unknown_query import OPEN_PREFIXES
from callsheet.api.videos_description import OpenAIError, VideoCreateRequest
from callsheet.domain.plan import Submission
from callsheet.notify.payload_schema import AdActionWebhook, AlertWebhook, EndpointTest, EventWebhook, ExecutionWebhook

_PREFIX = "#/components/schemas/{model}"
_MODELS: dict[type[BaseModel], JsonSchemaMode] = {
    ProblemDocument: "serialization",
    OpenAIError: "serialization",
    EndpointTest: "serialization",
    AlertWebhook: "serialization",
    AdActionWebhook: "serialization",
    Submission: "validation",
    VideoCreateRequest: "validation",
}
"""Models that no signature of a route names."""
_UNIONS: tuple[Any, ...] = (ExecutionWebhook, EventWebhook)
_INTRODUCTION = """\
Submit a plan with `POST /api/executions`, follow its events at `/api/executions/{id}/events`, and read its results at
`/api/executions/{id}`. Every error is a problem document (RFC 9457) with all problems of the request.
"""


def operation_id(route: APIRoute) -> str:
    """Return the operationId of a route: its name in camelCase. It does not change when the path changes."""
    head, *rest = route.name.split("_")
    return head + "".join(map(str.title, rest))


def build_openapi(app: FastAPI, routers: Sequence[APIRouter]) -> dict[str, Any]:
    """Return the OpenAPI document; it is built at the first call."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=_INTRODUCTION,
            routes=app.routes,
            webhooks=webhook_schema.router.routes,
            tags=app.openapi_tags,
        )
        schemas = document["components"]["schemas"]
        for model, mode in _MODELS.items():
            schema = model.model_json_schema(ref_template=_PREFIX, mode=mode)
            schemas |= schema.pop("$defs", {})
            schemas[model.__name__] = schema
        for union in _UNIONS:
            schema = TypeAdapter(union).json_schema(ref_template=_PREFIX, mode="serialization")
            schemas |= schema.pop("$defs")
            schemas[union.__name__] = schema
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        document["components"]["securitySchemes"] = {"apiKey": {"type": "http", "scheme": "bearer"}}
        _restore_examples(document, routers)
        for path, item in document["paths"].items():
            for method, operation in item.items():
                _complete_operation(path, method, operation)
        for item in document["webhooks"].values():
            item["post"]["responses"].pop("422")  # FastAPI's own; the receiver decides
            item["post"]["security"] = []
        _describe_defaults(document)
        app.openapi_schema = document
    return app.openapi_schema


def _restore_examples(document: dict[str, Any], routers: Sequence[APIRouter]) -> None:
    """Put the declared examples into the document again.

    FastAPI removes nulls from examples, but a null has a meaning: it removes a limit, or marks the last page.
    """
    for route in chain.from_iterable(router.routes for router in routers):
        if not isinstance(route, APIRoute) or not route.include_in_schema:
            continue
        for method in route.methods or ():
            operation = document["paths"][route.path_format][method.lower()]
            for status, response in route.responses.items():
                for media_type, content in response.get("content", {}).items():
                    operation["responses"][str(status)]["content"][media_type]["example"] = content["example"]
            if route.body_field is not None:
                examples = getattr(route.body_field.field_info, "openapi_examples", None)
                operation["requestBody"]["content"]["application/json"]["examples"] = examples


def _complete_operation(path: str, method: str, operation: dict[str, Any]) -> None:
    """Add what is the same for all routes: security, and the problem document of a 422."""
    # One of the scopes is needed. OpenAPI 3.1 lists them here for every kind of key.
    operation["security"] = [{"apiKey": [scope]} for scope in sorted(access_of(method.upper(), path).scopes)]
    responses = operation["responses"]
    if path.startswith("/v1/"):
        responses.pop("422", None)  # `/v1/` uses 400, as OpenAI does
        return
    common = {414, 431} if method == "get" else {400, 413, 414, 431}
    if not path.startswith(OPEN_PREFIXES) or "422" in responses:
        common.add(422)
    if "requestBody" in operation:
        common.add(408)
    described = problem_responses(*common)
    responses |= {str(status): described[status] for status in common}
    operation["responses"] = dict(sorted(responses.items()))


def _describe_defaults(document: dict[str, Any]) -> None:
    """Move the defaults of request fields to their descriptions.

    Generators for TypeScript take a field with a default as one that is always present, also in a request.
    """
    schemas = document["components"]["schemas"]
    pending: list[Any] = [
        *(item.get("requestBody") for path in document["paths"].values() for item in path.values()),
        *(item.get("parameters") for path in document["paths"].values() for item in path.values()),
    ]
    seen: set[str] = set()
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            pending += node
        elif isinstance(node, dict):
            reference = str(node.get("$ref", "")).rpartition("/")[2]
            if reference in schemas and reference not in seen:
                seen.add(reference)
                pending.append(schemas[reference])
            _describe_default(node)
            # Names of properties are no keywords: a property may be called `default`.
            pending += node.get("properties", {}).values()
            pending += [inner for name, inner in node.items() if name not in ("example", "examples", "properties")]


def _describe_default(schema: dict[str, Any]) -> None:
    if "default" not in schema or (isinstance(schema["default"], dict) and "type" in schema["default"]):
        return
    default = schema.pop("default")
    if default not in (None, [], {}):
        text = schema.get("description", "").rstrip(".")
        schema["description"] = f"{text}. Default: {orjson.dumps(default).decode()}".removeprefix(". ")
