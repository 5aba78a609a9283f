"""The description of the API, as clients are generated from it."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from callsheet.api.problems import ProblemDocument, answers
from callsheet.domain.plan import Submission

_PREFIX = "#/components/schemas/{model}"
_NO_KEY_NEEDED = ("/health", "/readyz", "/files/")
_INTRODUCTION = """\
Submit a plan to `POST /api/execute`, follow it at `/api/executions/{id}/events`, and read what it made at
`/api/executions/{id}`. Every error is a problem document (RFC 9457) that lists every problem at once.
"""


def operation_id(route: APIRoute) -> str:
    """Return a route's operationId: its function's name in camelCase, so that it stays when addresses change."""
    head, *rest = route.name.split("_")
    return head + "".join(map(str.title, rest))


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document, made once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=_INTRODUCTION, routes=app.routes, tags=app.openapi_tags
        )
        schemas = document["components"]["schemas"]
        for model in (ProblemDocument, Submission):
            schema = model.model_json_schema(ref_template=_PREFIX)
            schemas |= schema.pop("$defs", {})
            schemas[model.__name__] = schema
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        document["components"]["securitySchemes"] = {"apiKey": {"type": "http", "scheme": "bearer"}}
        for path, item in document["paths"].items():
            for operation in item.values():
                _complete(path, operation)
        app.openapi_schema = document
    return app.openapi_schema


def _complete(path: str, operation: dict[str, Any]) -> None:
    """Say what holds for every route: who may call it, and that what cannot be read is a problem document."""
    operation["security"] = [] if path.startswith(_NO_KEY_NEEDED) else [{"apiKey": []}]
    if "application/json" in operation["responses"].get("422", {}).get("content", {}):
        operation["responses"]["422"] = answers(422)[422]
